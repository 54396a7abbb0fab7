// The form of a sweep: the settings of a run, and which of them take several values. Launch queues its driver.
import { useMemo, useRef, useState } from 'react';
import { Labelled } from './fields';
import { count, metricTitle, plural } from '../ui/format';
import { useQuery } from '../data/hooks';
import { Await, LaunchButton, RunName, useLaunch } from './launch';
import { Button, Problem } from '../ui/states';
import { valueText } from '../live/sweep_results';
import { METRIC_TITLES, type Choices, type Range, type RunDetail, type SweepRequest } from '../data/types';

type Item = Choices | Range;
interface Row {
  id: number;
  name: string;
  text: string;
}

const METRICS = Object.keys(METRIC_TITLES) as (SweepRequest['metric'] & string)[];
const KINDS: Record<string, string> = {
  number: 'a number',
  string: 'a word',
  boolean: 'true or false',
  null: 'None',
};
const STRATEGIES: [SweepRequest['strategy'] & string, string][] = [
  ['grid', 'every combination'],
  ['random', 'random search'],
  ['tpe', 'TPE, learns from the results'],
  ['asha', 'ASHA, random with early ends'],
];

/** What a setting takes, as far as its schema, or else its present value, says: kinds of JSON values. */
export function kindsOf(property: Property | undefined, here: unknown): string[] | null {
  if (!property) return typeof here === 'number' || typeof here === 'boolean' ? [typeof here] : null;
  const kinds = [property, ...(property.anyOf ?? [])].map(part =>
    part.type === 'integer' ? 'number' : part.type,
  );
  const known = kinds.filter(kind => kind !== undefined);
  return known.length === 0 || known.includes('array') ? null : known;
}

interface Property {
  type?: string;
  anyOf?: { type?: string }[];
}

/**
 * `1e-4, 1e-3` as values; `1e-5 .. 1e-2 log` or `1 .. 8` as a range.
 * kinds: of the values that the setting takes; null: any.
 */
export function itemOf(text: string, kinds: string[] | null = null): { item?: Item; problem?: string } {
  if (/[[\]{}]/.test(text))
    return { problem: 'A sweep takes no lists and no mappings, but numbers and words.' };
  const range = /^\s*(\S+)\s*(?:\.\.|…)\s*(\S+)(\s+log)?(?:\s+step\s+(\S+))?\s*$/.exec(text);
  if (range) {
    const [low, high, step] = [range[1], range[2], range[4]].map(part =>
      part === undefined ? null : Number(part),
    ) as [number, number, number | null];
    if (!Number.isFinite(low) || !Number.isFinite(high) || (step !== null && !(step > 0)))
      return { problem: 'Write a range as 1e-5 .. 1e-2 log, or 1 .. 8.' };
    if (low >= high) return { problem: 'The range must rise.' };
    if (step !== null && (high - low) / step >= 1e9)
      return { problem: 'The step is too small for this range.' };
    if (kinds && !kinds.includes('number')) return { problem: 'This setting takes no numbers.' };
    const whole = [range[1]!, range[2]!].every(part => /^[+-]?\d+$/.test(part));
    return { item: { low, high, log: Boolean(range[3]), whole, step } };
  }
  const parts = text
    .split(',')
    .map(part => part.trim())
    .filter(Boolean);
  if (parts.length === 0)
    return { problem: 'Write values, such as 1e-4, 1e-3, or a range, such as 1e-5 .. 1e-2 log.' };
  const values = parts.map(part => {
    if (part === 'true' || part === 'True') return true;
    if (part === 'false' || part === 'False') return false;
    if (part === 'None' || part === 'null') return null;
    const number = Number(part);
    return Number.isFinite(number) ? number : part;
  });
  const wrong = values.find(value => kinds && !kinds.includes(value === null ? 'null' : typeof value));
  if (wrong !== undefined)
    return {
      problem: `“${String(wrong)}” cannot be read as ${kinds!.map(kind => KINDS[kind] ?? kind).join(' or ')}.`,
    };
  if (new Set(values).size < values.length) return { problem: 'The same value stands there twice.' };
  return { item: { values } };
}

/** Cells of a grid; null where a range has no step. */
export function cellsOf(items: Item[]): number | null {
  let product = 1;
  for (const item of items) {
    if ('values' in item) product *= item.values.length;
    else if (item.step || item.whole) product *= Math.floor((item.high - item.low) / (item.step ?? 1)) + 1;
    else return null;
  }
  return product;
}

function Form({ run, onLaunched }: { run: RunDetail; onLaunched?: () => void }) {
  const { busy, error, launch } = useLaunch(onLaunched);
  const notebook = run.kind === 'notebook';
  const base = useMemo(
    () =>
      (notebook ? ((run.payload.parameters ?? {}) as Record<string, unknown>) : run.config) as Record<
        string,
        unknown
      >,
    [notebook, run],
  );
  const { data: schema } = useQuery('schema', {});
  const properties = (schema?.json_schema.properties ?? {}) as Record<string, Property>;
  const names = notebook ? Object.keys(base) : Object.keys(properties).sort();
  const serial = useRef(1);
  const [rows, setRows] = useState<Row[]>([{ id: 0, name: 'lr', text: '' }]);
  const [strategy, setStrategy] = useState<SweepRequest['strategy'] & string>('grid');
  const [pruner, setPruner] = useState('none');
  const [metric, setMetric] = useState<SweepRequest['metric'] & string>('accuracy');
  const [trials, setTrials] = useState('20');
  const [epochs, setEpochs] = useState('');
  const [name, setName] = useState('');
  const kinds = (name: string) => kindsOf(notebook ? undefined : properties[name], base[name]);
  const read = rows.map(row => ({ row, ...itemOf(row.text, kinds(row.name)) }));
  const space = Object.fromEntries(
    read.flatMap(({ row, item }) => (row.name && item ? [[row.name, item]] : [])),
  );
  const complete =
    read.every(({ row, item }) => row.name && item) &&
    new Set(rows.map(row => row.name)).size === rows.length;
  const cells = cellsOf(Object.values(space));
  const put = (id: number, part: Partial<Row>) =>
    setRows(was => was.map(row => (row.id === id ? { ...row, ...part } : row)));
  const submit = () => {
    const grid = strategy === 'grid';
    return launch('sweep', {
      base,
      space,
      notebook: notebook ? String(run.payload.notebook ?? '') : null,
      strategy,
      pruner: grid || strategy === 'asha' ? null : (pruner as SweepRequest['pruner']),
      metric,
      trials: grid || !trials ? null : Number(trials),
      epochs: grid || !epochs ? null : Number(epochs),
      name: name.trim() || null,
      project_id: run.project_id,
    });
  };
  return (
    <form
      className="imgcls-form"
      onSubmit={event => {
        event.preventDefault();
        if (complete && !busy) void submit();
      }}
    >
      <header className="imgcls-form-head">
        <h1>Sweep from {run.name}</h1>
      </header>
      <p className="imgcls-note">
        Each trial is a run with the {notebook ? 'parameters' : 'settings'} of this one, but for those below.
        One that some sweep has run already is taken as it is.
      </p>
      <fieldset>
        <legend>Over what</legend>
        {read.map(({ row, problem }) => (
          <div key={row.id} className="imgcls-space-row">
            <Labelled
              title="Setting"
              note={row.name in base ? `here ${valueText(base[row.name])}` : undefined}
            >
              {id => (
                <select
                  id={id}
                  name="sweep-name"
                  value={row.name}
                  onChange={e => put(row.id, { name: e.target.value })}
                >
                  {!names.includes(row.name) && <option value={row.name}>{row.name}</option>}
                  {names.map(item => (
                    <option key={item}>{item}</option>
                  ))}
                </select>
              )}
            </Labelled>
            <Labelled
              title="Values"
              problem={row.text ? problem : undefined}
              note="1e-4, 1e-3 or 1e-5 .. 1e-2 log"
            >
              {(id, described) => (
                <input
                  id={id}
                  name="sweep-values"
                  aria-describedby={described}
                  value={row.text}
                  spellCheck={false}
                  onChange={e => put(row.id, { text: e.target.value })}
                />
              )}
            </Labelled>
            {rows.length > 1 && (
              <Button
                aria-label={`Take ${row.name} out`}
                onClick={() => setRows(was => was.filter(other => other.id !== row.id))}
              >
                ✕
              </Button>
            )}
          </div>
        ))}
        <Button
          onClick={() =>
            setRows(was => [
              ...was,
              {
                id: serial.current++,
                name: names.find(item => !was.some(row => row.name === item)) ?? '',
                text: '',
              },
            ])
          }
        >
          One more setting
        </Button>
      </fieldset>
      <fieldset>
        <legend>How</legend>
        <Labelled title="Strategy">
          {id => (
            <select
              id={id}
              name="strategy"
              value={strategy}
              onChange={e => setStrategy(e.target.value as typeof strategy)}
            >
              {STRATEGIES.map(([value, text]) => (
                <option key={value} value={value}>
                  {text}
                </option>
              ))}
            </select>
          )}
        </Labelled>
        <Labelled title="Judge by">
          {id => (
            <select
              id={id}
              name="metric"
              value={metric}
              onChange={e => setMetric(e.target.value as typeof metric)}
            >
              {METRICS.map(value => (
                <option key={value} value={value}>
                  validation {metricTitle(value)}
                </option>
              ))}
            </select>
          )}
        </Labelled>
        {strategy !== 'grid' && (
          <>
            <Labelled title="Trials">
              {id => (
                <input
                  id={id}
                  name="trials"
                  type="number"
                  min={1}
                  value={trials}
                  onChange={e => setTrials(e.target.value)}
                />
              )}
            </Labelled>
            <Labelled title="Epochs of all trials" note="empty: no limit">
              {id => (
                <input
                  id={id}
                  name="epochs"
                  type="number"
                  min={1}
                  value={epochs}
                  onChange={e => setEpochs(e.target.value)}
                />
              )}
            </Labelled>
          </>
        )}
        {(strategy === 'random' || strategy === 'tpe') && (
          <Labelled title="End bad trials early">
            {id => (
              <select id={id} name="pruner" value={pruner} onChange={e => setPruner(e.target.value)}>
                <option value="none">no</option>
                <option value="median">worse than the median</option>
                <option value="asha">successive halving</option>
              </select>
            )}
          </Labelled>
        )}
        <RunName title="Name of the sweep" value={name} onChange={setName} />
      </fieldset>
      <Problem>{error}</Problem>
      <div className="imgcls-buttons imgcls-form-foot">
        <LaunchButton busy={busy} disabled={!complete || (strategy === 'grid' && cells === null)} />
        {complete && strategy === 'grid' && (
          <span className="imgcls-note">
            {cells === null
              ? 'A grid needs values, or ranges with a step.'
              : `${count(cells)} cells: ${plural(cells, 'trial')}`}
          </span>
        )}
      </div>
    </form>
  );
}

/** A new sweep, from a run's settings or a notebook run's parameters. */
export function NewSweep({ from, onLaunched }: { from: string; onLaunched?: () => void }) {
  return (
    <Await answer={useQuery('run', { id: from })} reading="Reading the run…">
      {run => (
        <div className="imgcls-form-page">
          <Form run={run} onLaunched={onLaunched} />
        </div>
      )}
    </Await>
  );
}
