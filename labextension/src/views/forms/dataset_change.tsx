// What another data set changes, said when it is chosen, with a way back.
import type { CheckReply, Dataset } from '../data/types';
import { count, plural } from '../ui/format';
import '../ui/button.css';
import './form.css';

/** The data set that was left, and what was known of its images. */
export interface Left {
  root: string;
  edge: number | null;
}

const training = (dataset: Dataset): number => dataset.images.train ?? 0;

/** "12 classes instead of 10, ...": empty where nothing differs. */
export function changeText(before: Dataset, now: Dataset, edges: [number | null, number | null]): string {
  const said = [];
  const [was, is] = [before.classes.length, now.classes.length];
  if (was !== is) said.push(`${plural(is, 'class', 'classes')} instead of ${count(was)}`);
  else if (before.classes.join('\0') !== now.classes.join('\0')) said.push(`${plural(is, 'other class', 'other classes')}`); // prettier-ignore
  if (training(before) !== training(now))
    said.push(`${plural(training(now), 'training image')} instead of ${count(training(before))}`);
  if ('val' in before.images !== 'val' in now.images)
    said.push('val' in now.images ? 'it has a val/ of its own' : 'part of train/ is held out for validation');
  if (edges[0] && edges[1] && edges[0] !== edges[1])
    said.push(`images of about ${edges[1]} px instead of ${edges[0]} px`);
  return said.join(', ');
}

interface Props {
  left: Left | null;
  root: string;
  datasets: Dataset[];
  check: CheckReply | undefined;
  onUndo: (root: string) => void;
}

export function DatasetChange({ left, root, datasets, check, onUndo }: Props) {
  const before = datasets.find(item => item.root === left?.root);
  const now = datasets.find(item => item.root === root);
  if (!left || !before || !now || before === now) return null;
  const text = changeText(before, now, [left.edge, check?.root === root ? (check.image_edge ?? null) : null]);
  return (
    <p className="imgcls-note imgcls-dataset-change" role="status" data-change>
      {text ? `${now.name}: ${text}. ` : `${now.name} is like ${before.name}. `}The settings stay ·{' '}
      <button type="button" className="imgcls-plain" onClick={() => onUndo(left.root)}>
        Back to {before.name}
      </button>
    </p>
  );
}
