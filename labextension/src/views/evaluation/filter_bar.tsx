// Which images of an evaluation are shown: all, mistakes, a class, a cell, a range of confidence; and in which order.
import type { EvaluatedPage, Evaluation } from '../data/types';
import { count } from '../ui/format';
import { chipsOf, type ImageFilter, type Show, type Sort } from './filter';
import '../ui/inputs.css';
import '../ui/toolbar.css';
import './filter_bar.css';

const SHOWS: [Show, string][] = [
  ['all', 'all'],
  ['mistakes', 'mistakes'],
  ['confident_mistakes', 'confident mistakes'],
  ['unsure', 'low confidence'],
];
const SORTS: Sort[] = ['loss', 'confidence'];
const MANY = 200; // classes that a list of choices still shows

interface Props {
  view: Evaluation;
  counts: EvaluatedPage['counts'] | undefined;
  filter: ImageFilter;
  onChange: (filter: ImageFilter) => void;
}

/** The true class of the images. */
export function ClassChoice({
  view,
  label,
  onLabel,
}: Pick<Props, 'view'> & { label: string | undefined; onLabel: (label: string | undefined) => void }) {
  const choose = (name: string) => onLabel(name || undefined);
  const { class_names: names } = view;
  if (names.length <= MANY)
    return (
      <select
        className="imgcls-small"
        aria-label="True class"
        value={label ?? ''}
        onChange={event => choose(event.target.value)}
      >
        <option value="">class: any</option>
        {names.map(name => (
          <option key={name}>{name}</option>
        ))}
      </select>
    );
  return (
    <input
      type="search"
      className="imgcls-filter-class"
      aria-label="True class"
      placeholder="class: any"
      defaultValue={label ?? ''}
      key={label ?? ''}
      onChange={event => {
        const { value } = event.target;
        if (value === '' || names.includes(value)) choose(value);
      }}
      list={`imgcls-classes-${view.run_id}`}
    />
  );
}

/** One end of the range of confidence, in per cent. */
function Bound({
  value,
  name,
  onChange,
}: {
  value: number;
  name: string;
  onChange: (value: number) => void;
}) {
  return (
    <input
      type="number"
      min={0}
      max={100}
      step={5}
      aria-label={name}
      value={Math.round(value * 100)}
      onChange={event => onChange(Math.min(1, Math.max(0, Number(event.target.value) / 100)))}
    />
  );
}

interface Sorted<S extends string> {
  sort: S;
  order: 'asc' | 'desc';
}

/** The order of the images: a click on the one that holds turns it round. */
export function SortChoice<S extends string>({
  sorts,
  sort,
  order,
  onSort,
}: Sorted<S> & { sorts: readonly S[]; onSort: (sorted: Sorted<S>) => void }) {
  return (
    <div className="imgcls-filter-range imgcls-muted">
      sort by
      <div className="imgcls-segments">
        {sorts.map(by => (
          <button
            key={by}
            type="button"
            aria-pressed={sort === by}
            onClick={() => onSort({ sort: by, order: sort === by && order === 'desc' ? 'asc' : 'desc' })}
          >
            {by}
            {sort === by && (order === 'desc' ? ' ↓' : ' ↑')}
          </button>
        ))}
      </div>
    </div>
  );
}

export function FilterBar({ view, counts, filter, onChange }: Props) {
  const { label, sort, order } = filter;
  return (
    <div className="imgcls-filter-bar" role="group" aria-label="Which images">
      <div className="imgcls-segments">
        {SHOWS.map(([show, text]) => (
          <button
            key={show}
            type="button"
            aria-pressed={filter.show === show}
            onClick={() =>
              onChange({
                ...filter,
                show,
                ...(show === 'confident_mistakes' && { sort: 'confidence', order: 'desc' }),
              })
            }
          >
            {text}
            {counts?.[show] !== undefined && <span>{count(counts[show])}</span>}
          </button>
        ))}
      </div>
      <ClassChoice
        {...{ view, label }}
        onLabel={name => onChange({ ...filter, label: name, predicted: undefined })}
      />
      {chipsOf(filter).map(({ text, without }) => (
        <button
          key={text}
          type="button"
          className="imgcls-filter-chip"
          title="Without this filter"
          onClick={() => onChange(without)}
        >
          {text} <span aria-hidden="true">✕</span>
        </button>
      ))}
      <div className="imgcls-filter-order">
        <span className="imgcls-filter-range imgcls-muted">
          confidence
          <Bound
            value={filter.low}
            name="Lowest confidence in per cent"
            onChange={low => onChange({ ...filter, low })}
          />
          to
          <Bound
            value={filter.high}
            name="Highest confidence in per cent"
            onChange={high => onChange({ ...filter, high })}
          />
          %
        </span>
        <SortChoice
          sorts={SORTS}
          {...{ sort, order }}
          onSort={sorted => onChange({ ...filter, ...sorted })}
        />
      </div>
    </div>
  );
}
