// The images of a data set: by class, split and name, in any order.
import { useId, useState } from 'react';
import type { DraftRevision } from '../data/draft_revision';
import type { DatasetImagesQuery } from '../data/asked';
import type { DatasetDetail } from '../data/types';
import { usePages } from '../data/use_pages';
import { count } from '../ui/format';
import { SPLITS } from './class_bars';
import { DatasetGrid, placeOf } from './dataset_grid';
import '../ui/inputs.css';
import '../ui/toolbar.css';

const SORTS: [value: string, title: string][] = [
  ['name', 'by name'],
  ['-size', 'largest file first'],
  ['size', 'smallest file first'],
  ['-pixels', 'most pixels first'],
  ['pixels', 'fewest pixels first'],
];
const LISTED = 200; // classes that a select can still show well

export interface ImagesFilter {
  label: string;
  split: string;
  q: string;
  /** What to sort by; a minus: downwards. */
  sort: string;
}
export const ALL_IMAGES: ImagesFilter = { label: '', split: '', q: '', sort: 'name' };

const queryOf = (id: number, { label, split, q, sort }: ImagesFilter): DatasetImagesQuery => ({
  id,
  ...(label && { label }),
  ...(split && { split }),
  ...(q.trim() && { q: q.trim() }),
  sort: sort.replace('-', ''),
  order: sort.startsWith('-') ? 'desc' : 'asc',
});

interface FilterProps {
  detail: DatasetDetail;
  filter: ImagesFilter;
  onFilter: (filter: ImagesFilter) => void;
}

/** The class that is shown: a list, or with very many classes a field that completes. */
function ClassFilter({ detail, filter, onFilter }: FilterProps) {
  const [text, setText] = useState(filter.label);
  const id = useId();
  const names = detail.classes.map(item => item.name);
  if (names.length <= LISTED)
    return (
      <select
        aria-label="Class"
        value={filter.label}
        onChange={event => onFilter({ ...filter, label: event.target.value })}
      >
        <option value="">every class</option>
        {names.map(name => (
          <option key={name}>{name}</option>
        ))}
      </select>
    );
  return (
    <>
      <input
        aria-label="Class"
        placeholder="every class"
        list={id}
        value={text}
        onChange={event => {
          setText(event.target.value);
          if (event.target.value === '' || names.includes(event.target.value))
            onFilter({ ...filter, label: event.target.value });
        }}
      />
      <datalist id={id}>
        {names
          .filter(name => name.includes(text))
          .slice(0, 50)
          .map(name => (
            <option key={name} value={name} />
          ))}
      </datalist>
    </>
  );
}

function Filters(props: FilterProps) {
  const { detail, filter, onFilter } = props;
  const splits = SPLITS.filter(split => detail.classes.some(item => item.images[split]));
  return (
    <>
      <ClassFilter key={filter.label} {...props} />
      <select
        aria-label="Split"
        value={filter.split}
        onChange={event => onFilter({ ...filter, split: event.target.value })}
      >
        <option value="">every split</option>
        {splits.map(split => (
          <option key={split}>{split}</option>
        ))}
      </select>
      <input
        type="search"
        aria-label="Part of the name"
        placeholder="part of the name"
        value={filter.q}
        onChange={event => onFilter({ ...filter, q: event.target.value })}
      />
      <select
        aria-label="Order"
        value={filter.sort}
        onChange={event => onFilter({ ...filter, sort: event.target.value })}
      >
        {SORTS.map(([value, title]) => (
          <option key={value} value={value}>
            {title}
          </option>
        ))}
      </select>
    </>
  );
}

interface Props extends FilterProps {
  draft: DraftRevision;
}

export function DatasetImages({ detail, draft, filter, onFilter }: Props) {
  const pages = usePages('datasetImages', queryOf(detail.dataset.id, filter));
  return (
    <DatasetGrid
      label="Images of the data set"
      {...{ draft, pages }}
      dataset={detail.dataset}
      note={placeOf}
      empty="No image matches the filter."
      tools={
        <>
          <Filters {...{ detail, filter, onFilter }} />
          <span className="imgcls-muted imgcls-num">
            {pages.total !== undefined
              ? `${count(pages.total)} images`
              : pages.error
                ? ''
                : 'Reading the images…'}
          </span>
        </>
      }
    />
  );
}
