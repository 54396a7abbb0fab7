// What is in a data set: all classes, sizes, formats, what was not taken, and some images of each class.
import { useMemo, useState } from 'react';
import type { ClassCounts, DatasetDetail, SizeBin } from '../data/types';
import { useQuery } from '../data/use_query';
import { Thumbnail } from '../images/thumbnail';
import { count, percent, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { ClassBars, Legend, SPLITS, imagesOf } from './class_bars';
import { IN_HEAD } from './dataset_figures';
import '../ui/inputs.css';
import '../ui/button.css';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './dataset_overview.css';

const SORTS = {
  name: (a: ClassCounts, b: ClassCounts) => a.name.localeCompare(b.name, 'en', { numeric: true }),
  most: (a: ClassCounts, b: ClassCounts) => imagesOf(b) - imagesOf(a),
  fewest: (a: ClassCounts, b: ClassCounts) => imagesOf(a) - imagesOf(b),
};
const SAMPLED = 6; // classes
const EACH = 8; // images

function Sizes({ sizes }: { sizes: readonly SizeBin[] }) {
  const most = sizes.reduce((high, bin) => Math.max(high, bin.images), 1);
  return (
    <div>
      {sizes.map(({ low, high, images }) => (
        <div key={low} className="imgcls-size-bin">
          <span className="imgcls-num">{high - low <= 1 ? low : `${count(low)}–${count(high - 1)}`} px</span>
          <span className="imgcls-size-track">
            <span style={{ width: percent(images / most, 2).replace(' ', '') }} />
          </span>
          <span className="imgcls-num">{count(images)}</span>
        </div>
      ))}
    </div>
  );
}

/** Some images of each class, or one sentence why there are none. */
function SamplesCard({
  id,
  classes,
  onClass,
}: {
  id: number;
  classes: ClassCounts[];
  onClass: (name: string) => void;
}) {
  const { error } = useQuery('datasetImages', { id, limit: 1 });
  const of =
    classes.length > SAMPLED
      ? `of ${SAMPLED} of ${plural(classes.length, 'class', 'classes')}`
      : 'of each class';
  return (
    <section className="imgcls-card">
      <h3>
        Samples <span className="imgcls-muted">{of}</span>
      </h3>
      {error ? (
        <Problem>{error}</Problem>
      ) : (
        classes
          .slice(0, SAMPLED)
          .map(({ name }) => <Samples key={name} id={id} name={name} onOpen={() => onClass(name)} />)
      )}
    </section>
  );
}

/** Some images of one class. */
function Samples({ id, name, onOpen }: { id: number; name: string; onOpen: () => void }) {
  const { data, error } = useQuery('datasetImages', { id, label: name, limit: EACH });
  return (
    <div className="imgcls-samples">
      <button type="button" className="imgcls-plain imgcls-clip" onClick={onOpen}>
        {name}
      </button>
      <div className="imgcls-samples-row">
        {data?.items.map(image => (
          <Thumbnail
            key={image.name}
            of={image.image ? { kind: 'dataset', id, image: image.image } : null}
            alt={image.name}
            edge={64}
            problem={image.problem}
          />
        ))}
        <Problem>{error}</Problem>
      </div>
    </div>
  );
}

function Facts({ detail }: { detail: DatasetDetail }) {
  const { formats, sizes, dataset } = detail;
  if (sizes === null || formats === null)
    return <p className="imgcls-muted">Sizes and formats are known after the first audit or run.</p>;
  const skipped = Object.entries(dataset.skipped_files ?? {});
  return (
    <>
      <Sizes sizes={sizes} />
      <p className="imgcls-note imgcls-num">
        {Object.entries(formats)
          .map(([name, n]) => `${count(n)} ${name}`)
          .join(' · ')}
      </p>
      {skipped.length > 0 && (
        <p className="imgcls-note imgcls-num">
          Not taken: {skipped.map(([ending, n]) => `${count(n)} ${ending}`).join(', ')}
        </p>
      )}
    </>
  );
}

interface ClassesProps {
  classes: readonly ClassCounts[];
  splits: readonly string[];
  total: number;
  columns: number;
  sort: keyof typeof SORTS;
  text: string;
  onClass: (name: string) => void;
  onSort: (sort: keyof typeof SORTS) => void;
  onText: (text: string) => void;
}

/** All classes, where the head of the page shows only some. */
function AllClasses(props: ClassesProps) {
  const { classes, splits, total, columns, sort, text, onClass, onSort, onText } = props;
  return (
    <section className="imgcls-card imgcls-overview-wide">
      <div className="imgcls-filters">
        <h3>
          Classes <span className="imgcls-muted">{count(total)}</span>
        </h3>
        <span className="imgcls-spacer" />
        <input
          type="search"
          aria-label="Find a class"
          placeholder="find a class"
          value={text}
          onChange={event => onText(event.target.value)}
        />
        <select
          className="imgcls-small"
          aria-label="Order of the classes"
          value={sort}
          onChange={event => onSort(event.target.value as keyof typeof SORTS)}
        >
          <option value="name">by name</option>
          <option value="most">most images first</option>
          <option value="fewest">fewest images first</option>
        </select>
      </div>
      {classes.length === 0 ? (
        <p className="imgcls-muted">No class has this name.</p>
      ) : (
        <ClassBars classes={classes} columns={columns} lines={14} onOpen={onClass} />
      )}
      <Legend splits={splits} />
    </section>
  );
}

interface Props {
  detail: DatasetDetail;
  columns: number;
  onClass: (name: string) => void;
}

export function DatasetOverview({ detail, columns, onClass }: Props) {
  const [sort, setSort] = useState<keyof typeof SORTS>('name');
  const [text, setText] = useState('');
  const classes = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    return detail.classes.filter(item => item.name.toLowerCase().includes(wanted)).sort(SORTS[sort]);
  }, [detail.classes, sort, text]);
  const splits = SPLITS.filter(split => detail.classes.some(item => item.images[split]));
  return (
    <div className="imgcls-overview">
      {detail.classes.length > IN_HEAD && (
        <AllClasses
          {...{ classes, splits, columns, sort, text, onClass }}
          total={detail.classes.length}
          onSort={setSort}
          onText={setText}
        />
      )}
      <SamplesCard id={detail.dataset.id} {...{ classes, onClass }} />
      <section className="imgcls-card">
        <h3>
          Sizes <span className="imgcls-muted">longer edge</span>
        </h3>
        <Facts detail={detail} />
      </section>
    </div>
  );
}
