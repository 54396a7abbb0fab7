// Problems that are groups of images: copies and look-alikes, across splits or within one. The images of train come
// first; excluding one from train keeps its copy in val or test.
import type { DraftChange } from '../data/draft_revision';
import type { Image, Problem } from '../data/types';
import { useAction } from '../data/use_query';
import { usePages } from '../data/use_pages';
import { useOnChange } from '../data/use_runs';
import { Button } from '../ui/button';
import { count, plural } from '../ui/format';
import { VirtualList } from '../ui/virtual_list';
import { draftOf, excluded, excludedFrom } from './corrections';
import { GroupThumbs, ProblemCard, type CardProps } from './problem_card';
import './problem_groups.css';

const ROW = 84;
const MOST = 4; // rows in view

interface Props extends CardProps {
  title: string;
  kind: Problem['kind'];
  leak: boolean;
}

/** The images that one excludes: across splits those of the first split, within a split all but the first. */
const surplusOf = ({ leak, images }: Problem): Image[] =>
  leak
    ? images.filter(image => image.split === images[0]?.split)
    : images.slice(1).filter(image => image.image !== images[0]?.image);

const changesOf = (problem: Problem): DraftChange[] =>
  surplusOf(problem).map(image => (problem.leak ? excludedFrom : excluded)(image, problem.kind));

function Row({ problem, dataset, draft }: Pick<Props, 'dataset' | 'draft'> & { problem: Problem }) {
  const { images, leak, across_classes, reason, settled } = problem;
  const labels = [...new Set(images.map(image => image.label))];
  const surplus = surplusOf(problem);
  const done = settled || (surplus.length > 0 && surplus.every(image => draftOf(draft, image)?.excluded));
  const what = leak ? `Exclude from ${images[0]?.split}` : 'Keep the first';
  const shown = leak ? [images[0]!, ...images.filter(image => image.split !== images[0]!.split)] : images;
  return (
    <div className={`imgcls-group-row${done ? ' imgcls-settled' : ''}`}>
      <GroupThumbs images={shown} id={dataset.id} edge={84} most={leak ? 2 : 3} named />
      <div className="imgcls-clip">
        <div
          className={across_classes ? 'imgcls-clip imgcls-across' : 'imgcls-clip'}
          title={labels.join(', ')}
        >
          {labels.join(' / ')}
        </div>
        <div className="imgcls-muted imgcls-group-reason" title={reason}>
          {reason || plural(images.length, 'image')}
        </div>
      </div>
      {done ? (
        <span className="imgcls-muted">{settled ? 'settled' : 'excluded'}</span>
      ) : (
        dataset.may_change &&
        surplus.length > 0 && <Button onClick={() => draft.add(changesOf(problem))}>{what}</Button>
      )}
    </div>
  );
}

export function GroupsCard({ dataset, draft, audit, title, kind, leak }: Props) {
  const pages = usePages('problems', { id: dataset.id, kind, leak });
  const { busy, error, act } = useAction();
  useOnChange(String(audit.counts[kind]), pages.reload); // a running audit finds more
  const { total = 0 } = pages;
  if (total === 0 && !pages.error) return null;
  const all = () =>
    act('all', async () => {
      const problems = await pages.range(0, total);
      draft.add(problems.filter(problem => !problem.settled).flatMap(changesOf));
    });
  return (
    <ProblemCard
      title={title}
      total={total}
      error={pages.error ?? error}
      aside={
        leak &&
        dataset.may_change && (
          <button type="button" className="imgcls-plain" disabled={busy !== null} onClick={() => void all()}>
            exclude all {count(total)}
          </button>
        )
      }
    >
      <div style={{ height: Math.min(total, MOST) * ROW }} className="imgcls-fill">
        <VirtualList
          label={title}
          total={total}
          rowHeight={ROW}
          onView={pages.need}
          row={index => {
            const problem = pages.at(index);
            return problem && <Row {...{ problem, dataset, draft }} />;
          }}
        />
      </div>
    </ProblemCard>
  );
}
