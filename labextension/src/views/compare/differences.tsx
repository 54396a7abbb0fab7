// What sets a few runs apart, a column a run; below it in what they agree, and what they came to.
import type { Comparison, ComparedField } from '../data/types';
import { lower, plural } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { State } from '../ui/run_state';
import { RevisionNote } from './revision_note';
import { fieldFact, valueText, varies, type Fact } from './facts';
import { useIsLit, useLights } from './highlight';
import { Key } from './legend';
import type { LineStyle } from './line_styles';
import '../ui/layout.css';
import '../ui/table.css';
import './differences.css';

export interface Column {
  run: Comparison['runs'][number];
  name: string;
  /** The group that lights with it, and how its line looks. */
  group: string;
  style: LineStyle;
}

const PARTS: Record<ComparedField['part'], string> = {
  config: 'config',
  data: 'data',
  environment: 'environment',
  code: 'code',
  hardware: 'hardware',
};

function Head({ column }: { column: Column }) {
  const navigate = useNavigate();
  const lit = useIsLit(column.group);
  const lights = useLights(column.group);
  return (
    <th scope="col" data-lit={lit || undefined} data-run={column.run.id} {...lights}>
      <button
        type="button"
        className="imgcls-plain imgcls-compare-head"
        title={`Open the run ${column.name}`}
        onClick={() => navigate({ view: 'run', id: column.run.id })}
      >
        <Key style={column.style} />
        <span>{column.name}</span>
      </button>
    </th>
  );
}

/** Rows of one part; the first names it. Values other than the first run's are marked. */
function Rows({ title, facts, mark, continued, note }: RowsProps) {
  return facts.map((fact, i) => (
    <tr key={fact.key}>
      <th scope="row" className="imgcls-muted">
        {i === 0 && !continued ? title : <span className="imgcls-sr">{title}</span>}
      </th>
      <th scope="row">{fact.title}</th>
      {fact.values.map((value, place) => (
        <td key={place}>
          <span data-other={(mark && value !== null && value !== fact.values[0]) || undefined}>
            {fact.show(value)}
          </span>
        </td>
      ))}
      <td className="imgcls-muted">{note?.(fact)}</td>
    </tr>
  ));
}

interface RowsProps {
  title: string;
  facts: readonly Fact[];
  mark?: boolean;
  /** Rows of the same part stand above. */
  continued?: boolean;
  note?: (fact: Fact) => React.ReactNode;
}

/** “The same in both: 41 other settings, seed 0, NVIDIA H100”. */
export function sameText({ same, same_settings, runs, differs }: Comparison): string {
  const where = runs.length === 2 ? 'in both' : 'in all';
  const named = same.map(field => {
    const value = valueText(field, field.values[0] ?? null);
    if (field.name === 'device') return value;
    return field.name === 'epochs' ? `${value} epochs` : `${lower(field.title)} ${value}`;
  });
  const others = same_settings - same.filter(field => field.part === 'config').length;
  const more = plural(others, `${differs.length > 0 ? 'other ' : ''}setting`);
  return `The same ${where}: ${[...named, more].join(', ')}.`;
}

/** What one should know before one reads the figures. */
export function warnings({ runs, other_images, unrecorded, unlisted }: Comparison): string[] {
  const names = runs.filter(run => unrecorded.includes(run.id)).map(run => `“${run.name}”`);
  const some = names.length > 3 ? plural(names.length, 'run') : names.join(', ');
  return [
    ...(other_images
      ? ['They are judged on different validation images, so their figures cannot be compared directly.']
      : []),
    ...(names.length > 0
      ? [`Of ${some} environment, code and device are not known: not started, a notebook, or kept elsewhere.`]
      : []),
    ...(unlisted > 0 ? [`They differ in ${plural(unlisted, 'more package')} that are not listed.`] : []),
  ];
}

interface DifferencesProps {
  comparison: Comparison;
  columns: readonly Column[];
  results: readonly Fact[];
}

export function Differences({ comparison, columns, results }: DifferencesProps) {
  const parts = Object.keys(PARTS) as ComparedField['part'][];
  const shown = results.filter(fact => fact.values.some(value => value !== null)).filter(isTold);
  return (
    <section className="imgcls-card" aria-label="What differs">
      <div className="imgcls-scroll" tabIndex={0} role="region" aria-label="Table of what differs">
        <table className="imgcls-table imgcls-table-text imgcls-differences">
          <thead>
            <tr>
              <th scope="col" colSpan={2}>
                {comparison.differs.length > 0 ? 'what differs' : 'nothing differs'}
              </th>
              {columns.map(column => (
                <Head key={column.run.id} column={column} />
              ))}
              <td />
            </tr>
          </thead>
          <tbody>
            {parts.map(part => (
              <Rows
                key={part}
                mark
                title={PARTS[part]}
                facts={comparison.differs.filter(field => field.part === part).map(fieldFact)}
                note={fact => fact.key === 'data/revision' && <RevisionNote comparison={comparison} />}
              />
            ))}
            <tr>
              <th scope="row" className="imgcls-muted">
                results
              </th>
              <th scope="row">state</th>
              {columns.map(({ run }) => (
                <td key={run.id}>
                  <State state={run.state} unreachable={run.unreachable} />
                </td>
              ))}
              <td />
            </tr>
            <Rows continued title="results" facts={shown} />
          </tbody>
        </table>
      </div>
      <p className="imgcls-muted imgcls-same">{sameText(comparison)}</p>
    </section>
  );
}

/** Results that a person looks at first; all of them are in the CSV and on the axes of the plots. */
const isTold = (fact: Fact): boolean =>
  /^(best|time|size)/.test(fact.key) ||
  (/^last\/(loss\/val|metric\/macro_f1|test\/accuracy)$/.test(fact.key) && varies(fact));
