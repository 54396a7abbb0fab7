// How the data of two runs differ where both trained on revisions of one data set, and the way to its images.
import type { Comparison } from '../data/types';
import { useQuery } from '../data/use_query';
import { plural } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import '../ui/button.css';

/** The number of a run's revision; 0: the folders as they are. */
const numberOf = (value: unknown): number | null =>
  typeof value === 'number' ? value : value === 'none' ? 0 : null;

export function RevisionNote({ comparison }: { comparison: Comparison }) {
  const navigate = useNavigate();
  const [first, second] = comparison.runs;
  const field = comparison.differs.find(each => each.part === 'data' && each.name === 'revision');
  const [before, after] = (field?.values ?? []).map(numberOf);
  const id = first?.dataset_id;
  const alike = comparison.runs.length === 2 && id != null && id === second?.dataset_id;
  const known = alike && before != null && after != null && before !== after;
  const newer = known ? Math.max(before, after) : 0;
  const { data } = useQuery(
    'revision',
    known ? { id, number: newer, against: Math.min(before, after) } : null,
  );
  if (!known || !data) return null;
  const parts = [
    data.relabelled > 0 && `${plural(data.relabelled, 'label')} changed`,
    data.excluded > 0 && `${plural(data.excluded, 'image')} excluded`,
    data.restored > 0 && `${plural(data.restored, 'image')} restored`,
  ].filter(Boolean);
  return (
    <>
      {parts.join(', ') || 'no image changed'} ·{' '}
      <button
        type="button"
        className="imgcls-plain"
        onClick={() => navigate({ view: 'dataset', id, tab: 'Revisions' })}
      >
        show
      </button>
    </>
  );
}
