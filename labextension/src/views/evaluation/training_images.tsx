// The training images as the steps saw them: which a model learns at once, which it wavers about, which it never
// believes. Runs keep the probability of the label alone, so there is no confusion here and no threshold.
import type { Evaluation } from '../data/types';
import { usePages } from '../data/use_pages';
import { useOnChange } from '../data/use_runs';
import { count } from '../ui/format';
import type { Corrections } from './corrections';
import { trainingQueryOf, type LearningGroup, type TrainingFilter, type TrainingSort } from './filter';
import { ClassChoice, SortChoice } from './filter_bar';
import { ImagesCard } from './images_card';
import { OpenImage } from './open_image';
import '../ui/layout.css';
import './filter_bar.css';

const GROUPS: [LearningGroup, string][] = [
  ['suspicious', 'The model never believed their labels: often they are wrong.'],
  ['ambiguous', 'The model wavered about them from epoch to epoch.'],
  ['easy', 'The model learnt them soon and kept them.'],
];
const SORTS: TrainingSort[] = ['mean', 'spread', 'loss'];

interface Props {
  id: string;
  view: Evaluation;
  /** Changes when the run has gone on. */
  version: string;
  filter: TrainingFilter;
  onFilter: (filter: TrainingFilter) => void;
  open: number | null;
  onOpen: (place: number | null) => void;
  corrections: Corrections | null;
}

function Bar({
  view,
  counts,
  filter,
  onFilter,
}: Pick<Props, 'view' | 'filter' | 'onFilter'> & { counts: Record<string, number> | undefined }) {
  const { group, label, sort, order } = filter;
  const shown: [LearningGroup | undefined, string][] = [[undefined, 'All training images'], ...GROUPS];
  return (
    <div className="imgcls-filter-bar" role="group" aria-label="Which training images">
      <div className="imgcls-segments">
        {shown.map(([name, title]) => (
          <button
            key={name ?? 'all'}
            type="button"
            title={title}
            aria-pressed={group === name}
            onClick={() => onFilter({ ...filter, group: name })}
          >
            {name ?? 'all'}
            {counts && <span>{count(counts[name ?? 'all'] ?? 0)}</span>}
          </button>
        ))}
      </div>
      <ClassChoice {...{ view, label }} onLabel={name => onFilter({ ...filter, label: name })} />
      <div className="imgcls-filter-order">
        <SortChoice
          sorts={SORTS}
          {...{ sort, order }}
          onSort={sorted => onFilter({ ...filter, ...sorted })}
        />
      </div>
    </div>
  );
}

export function TrainingImages(props: Props) {
  const { id, view, version, filter, onFilter, open, onOpen, corrections } = props;
  const images = usePages('evaluated', trainingQueryOf(id, filter));
  useOnChange(version, images.reload);
  const { group, label } = filter;
  const what = `${group ? `${group[0]!.toUpperCase()}${group.slice(1)} training` : 'Training'} images`;
  return (
    <>
      <p className="imgcls-note">
        Mean and spread are of the probability that the training steps gave to the label, over the epochs.{' '}
        {GROUPS.find(([name]) => name === group)?.[1]}
      </p>
      <Bar {...{ view, filter, onFilter }} counts={images.reply?.counts} />
      <ImagesCard
        {...{ id, view, images, corrections, onOpen }}
        title={label === undefined ? what : `${what} of ${label}`}
      />
      <OpenImage {...{ id, view, images, open, onOpen, corrections }} />
    </>
  );
}
