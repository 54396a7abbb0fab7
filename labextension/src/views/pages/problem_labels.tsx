// Probable label errors, one after the other by keys: A accepts the likelier class, R keeps the label, S goes on,
// X excludes the image, arrows move, U takes back.
import { useState, type KeyboardEvent } from 'react';
import type { DraftRevision } from '../data/draft_revision';
import type { Problem } from '../data/types';
import { usePages } from '../data/use_pages';
import { useOnChange } from '../data/use_runs';
import { Thumbnail } from '../images/thumbnail';
import { Button } from '../ui/button';
import { count, percent } from '../ui/format';
import { Key, Keys } from '../ui/keys';
import { VirtualList } from '../ui/virtual_list';
import { draftOf, excluded, relabelled } from './corrections';
import { GroupThumbs, ProblemCard, type CardProps } from './problem_card';
import './problem_labels.css';

const ROW = 52;
const MOST = 5; // rows in view
const KEYS = [
  ['↑', ''],
  ['↓', 'move'],
  ['X', 'exclude'],
  ['U', 'undo'],
] as const;

/** What was decided about a problem; null: nothing yet. */
function decisionOf(problem: Problem, draft: DraftRevision): string | null {
  const change = draftOf(draft, problem.images[0]!);
  if (change)
    return change.after === null
      ? 'excluded'
      : change.after === problem.suggested
        ? 'accepted'
        : 'relabelled';
  if (draft.dismissed.has(problem.id)) return 'rejected';
  return problem.settled ? 'settled' : null;
}

const Sure = ({ confidence }: { confidence: number | null | undefined }) =>
  confidence == null ? null : (
    <span className="imgcls-sure">
      <span className="imgcls-sure-track" aria-hidden="true">
        <span style={{ width: percent(confidence, 1).replace(' ', '') }} />
      </span>
      <span className="imgcls-num">{percent(confidence, 0)}</span>
    </span>
  );

/** A settled one shows the class of the folder: the revision may have given the image the suggested class. */
const Labels = ({ problem: { images, settled, suggested } }: { problem: Problem }) => (
  <div className="imgcls-clip">
    {settled ? images[0]!.folder_label : images[0]!.label} → <b>{suggested}</b>
  </div>
);

interface ActiveProps {
  problem: Problem;
  datasetId: number;
  decision: string | null;
  mayChange: boolean;
  decide: (key: string) => void;
}

/** The problem that is asked about. */
function Active({ problem, datasetId, decision, mayChange, decide }: ActiveProps) {
  return (
    <div className="imgcls-label-active">
      <GroupThumbs images={problem.images} id={datasetId} edge={130} most={1} />
      <div className="imgcls-label-asked">
        <Labels problem={problem} />
        <Sure confidence={problem.confidence} />
        <div className="imgcls-muted imgcls-clip" title={problem.images[0]!.name}>
          {problem.images[0]!.name}
        </div>
        {mayChange && (
          <div className="imgcls-buttons">
            <Button aria-pressed={decision === 'accepted'} onClick={() => decide('a')}>
              Accept <Key>A</Key>
            </Button>
            <Button aria-pressed={decision === 'rejected'} onClick={() => decide('r')}>
              Reject <Key>R</Key>
            </Button>
            <Button onClick={() => decide('s')}>
              Skip <Key>S</Key>
            </Button>
          </div>
        )}
      </div>
    </div>
  );
}

function Row({
  problem,
  datasetId,
  decision,
  onPick,
}: {
  problem: Problem;
  datasetId: number;
  decision: string | null;
  onPick: () => void;
}) {
  const { image } = problem.images[0]!;
  return (
    <div className="imgcls-label-row" onClick={onPick}>
      <Thumbnail of={{ kind: 'dataset', id: datasetId, image }} alt="" edge={40} cover />
      <div className="imgcls-clip">
        <Labels problem={problem} />
        <Sure confidence={problem.confidence} />
      </div>
      <span className={decision === 'accepted' ? 'imgcls-accepted' : 'imgcls-muted'}>{decision}</span>
    </div>
  );
}

export function LabelErrorsCard({ dataset, draft, audit }: CardProps) {
  const pages = usePages('problems', { id: dataset.id, kind: 'label_error' });
  const [picked, setAt] = useState<number | null>(null);
  useOnChange(String(audit.counts.label_error), pages.reload);
  const { total = 0 } = pages;
  if (total === 0 && !pages.error) return null;
  const loaded = Array.from({ length: Math.min(total, 200) }, (_, i) => pages.at(i));
  const open = loaded.findIndex(item => item && !item.settled);
  const at = picked ?? Math.max(open, 0); // begins at the first that no revision has settled
  const problem = pages.at(at);
  const move = (by: number) => setAt(Math.min(Math.max(at + by, 0), total - 1));
  const decide = (key: string): boolean => {
    const image = problem?.images[0];
    if ((key === 'u' || key === 'z') && draft.canUndo) {
      draft.undo();
      move(-1);
      return true;
    }
    if (!problem || !image || !dataset.may_change || !['a', 'r', 's', 'x'].includes(key)) return false;
    if (key === 'a' && problem.suggested) draft.add([relabelled(image, problem.suggested, 'label_error')]);
    if (key === 'r') draft.add([], [problem.id]);
    if (key === 'x') draft.add([excluded(image, 'label_error')]);
    move(1);
    return true;
  };
  const keyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: MOST, PageUp: -MOST, Home: -total, End: total }[
      event.key
    ];
    if (by !== undefined) move(by);
    else if (!decide(event.key)) return;
    event.preventDefault();
  };
  const decided = loaded.filter(item => item && decisionOf(item, draft)).length;
  return (
    <ProblemCard
      title="Probable label errors"
      total={total}
      error={pages.error}
      aside={
        <span className="imgcls-muted imgcls-num" role="status">
          {count(decided)} decided
        </span>
      }
    >
      <div className="imgcls-stack" onKeyDown={keyDown}>
        {problem && (
          <Active
            {...{ problem, decide }}
            datasetId={dataset.id}
            decision={decisionOf(problem, draft)}
            mayChange={dataset.may_change}
          />
        )}
        <div style={{ height: Math.min(total, MOST) * ROW }} className="imgcls-label-list">
          <VirtualList
            label="Probable label errors"
            total={total}
            rowHeight={ROW}
            active={at}
            onView={pages.need}
            row={index => {
              const item = pages.at(index);
              return (
                item && (
                  <Row
                    problem={item}
                    datasetId={dataset.id}
                    decision={decisionOf(item, draft)}
                    onPick={() => setAt(index)}
                  />
                )
              );
            }}
          />
        </div>
        <Keys of={KEYS} />
      </div>
    </ProblemCard>
  );
}
