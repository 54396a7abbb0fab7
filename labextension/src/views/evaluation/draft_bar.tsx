// The draft of a revision over the page that fills it: how many changes, save, discard; and, once saved, train again.
import { useState } from 'react';
import { useSource } from '../data/source';
import type { Revision, RunDetail } from '../data/types';
import { useAction, useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { ConfirmButton } from '../ui/confirm_button';
import { plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { Thumbnail } from '../images/thumbnail';
import type { RunCorrections } from './use_corrections';
import './draft_bar.css';

interface RetrainProps {
  run: RunDetail;
  /** Number of the revision. */
  revision: number;
}

/** A child that starts at the run's best checkpoint and trains on a revision; its page opens. */
export function RetrainButton({ run, revision }: RetrainProps) {
  const source = useSource();
  const navigate = useNavigate();
  const { busy, error, act } = useAction();
  const start = () =>
    act('retrain', async () => {
      const child = await source.command('retrain', { id: run.id, revision });
      navigate({ view: 'run', id: child.id });
    });
  return (
    <>
      <Button primary busy={busy !== null} disabled={run.best === null} onClick={() => void start()}>
        Train again from the best
      </Button>
      <Problem>{error}</Problem>
    </>
  );
}

/** What a revision changed, image by image. */
function Changes({ id, number }: { id: number; number: number }) {
  const { data, error } = useQuery('revision', { id, number });
  if (error) return <Problem>{error}</Problem>;
  return (
    <ul className="imgcls-draft-changes">
      {data?.changes.map(change => (
        <li key={change.image} title={change.name}>
          <Thumbnail of={{ kind: 'dataset', id, image: change.image }} edge={56} alt={change.name} />
          <span className="imgcls-clip">
            <s>{change.before ?? 'excluded'}</s>{' '}
            {change.label === null ? <i>excluded</i> : <b>{change.label}</b>}
          </span>
        </li>
      ))}
      {data && (data.more ?? 0) > 0 && (
        <li className="imgcls-muted">and {plural(data.more!, 'more', 'more')}</li>
      )}
    </ul>
  );
}

/** What was saved last: its changes on demand, and the run that learns them. */
function Saved({ run, dataset, revision }: { run: RunDetail; dataset: number; revision: Revision }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <span>
        Saved as <b>v{revision.number}</b>: {plural(revision.relabelled, 'image')} relabelled
        {revision.excluded > 0 && `, ${revision.excluded} excluded`}
      </span>
      <button type="button" className="imgcls-plain" aria-expanded={open} onClick={() => setOpen(!open)}>
        {open ? 'hide the changes' : 'what changed'}
      </button>
      <span className="imgcls-spacer" />
      <RetrainButton run={run} revision={revision.number} />
      {open && <Changes id={dataset} number={revision.number} />}
    </>
  );
}

/** The changes that are not saved yet. */
function Unsaved({
  name,
  standing,
  onSaved,
}: {
  name: string;
  standing: RunCorrections;
  onSaved: (revision: Revision) => void;
}) {
  const { draft, newest } = standing;
  const save = async () => {
    const revision = await draft.save();
    if (revision) onSaved(revision);
  };
  return (
    <>
      <span role="status">
        <b>{plural(draft.changes.size, 'change')}</b> to {name} {draft.parent === 0 ? '' : `v${draft.parent}`}
        {draft.unkept && (
          <span className="imgcls-problem"> · this browser does not keep them: save soon</span>
        )}
      </span>
      <span className="imgcls-spacer" />
      {draft.conflict ? (
        <Button primary onClick={() => draft.rebase(newest)}>
          Put them on top of v{newest}
        </Button>
      ) : (
        <Button primary busy={draft.busy} onClick={() => void save()}>
          Save as v{draft.parent + 1}
        </Button>
      )}
      <ConfirmButton
        label="Discard…"
        question={`Discard ${plural(draft.changes.size, 'change')}?`}
        disabled={draft.busy}
        onConfirm={draft.discard}
      />
      <Problem>{draft.error}</Problem>
    </>
  );
}

/** The revision that a run trained on; 0: the folders as they are. */
const trainedOn = ({ config }: RunDetail): number =>
  typeof config.data_revision === 'number' ? config.data_revision : 0;

export function DraftBar({ run, standing }: { run: RunDetail; standing: RunCorrections }) {
  const { dataset, draft, revisions, newest } = standing;
  const [saved, setSaved] = useState<Revision | null>(null);
  if (!dataset) return null;
  const behind = revisions.filter(item => item.number > trainedOn(run));
  const content =
    draft.changes.size > 0 ? (
      <Unsaved name={dataset.name} standing={standing} onSaved={setSaved} />
    ) : saved ? (
      <Saved run={run} dataset={dataset.id} revision={saved} />
    ) : behind.length > 0 ? (
      <>
        <span>
          This run trained on {trainedOn(run) === 0 ? 'the folders as they are' : `v${trainedOn(run)}`};{' '}
          {dataset.name} is at <b>v{newest}</b> by now.
        </span>
        <span className="imgcls-spacer" />
        <RetrainButton run={run} revision={newest} />
      </>
    ) : null;
  return content && <div className="imgcls-draft-bar">{content}</div>;
}
