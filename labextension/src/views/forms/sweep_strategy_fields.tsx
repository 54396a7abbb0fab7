// How a sweep searches: its strategy, the metric that it judges by, its budget, and when it ends bad trials early.
import { METRIC_TITLES, type SweepRequest } from '../data/types';
import { metricTitle } from '../ui/format';
import { Labelled } from './fields';
import { ReplicatesField, replicatesOf } from './replicates_field';
import '../ui/inputs.css';

type Strategy = SweepRequest['strategy'] & string;
type Metric = SweepRequest['metric'] & string;
type Pruner = SweepRequest['pruner'] & string;

const STRATEGIES: Record<Strategy, string> = {
  grid: 'every combination',
  random: 'random search',
  tpe: 'TPE, learns from the results',
  asha: 'ASHA, random with early ends',
  halving: 'halving, trials pause at rungs',
  hyperband: 'Hyperband, several halvings',
};
const HALVES = new Set<Strategy>(['halving', 'hyperband']);
const WITHOUT_PAUSES = Object.fromEntries(
  Object.entries(STRATEGIES).filter(([name]) => !HALVES.has(name as Strategy)),
) as Record<Strategy, string>;
const PRUNERS: Record<Pruner, string> = {
  none: 'no',
  median: 'worse than the median',
  asha: 'successive halving',
};
const METRICS = Object.fromEntries(
  Object.keys(METRIC_TITLES).map(name => [name, `validation ${metricTitle(name)}`]),
) as Record<Metric, string>;

/** As one types it. */
interface Search {
  strategy: Strategy;
  metric: Metric;
  pruner: Pruner;
  trials: string;
  epochs: string;
  eta: string;
  min_epochs: string;
  replicates: string;
}

export const FIRST_SEARCH: Search = {
  strategy: 'grid',
  metric: 'accuracy',
  pruner: 'none',
  trials: '20',
  epochs: '',
  eta: '3',
  min_epochs: '1',
  replicates: '1',
};

/** The strategies that end trials early judge them by one curve: a trial of theirs is one run. */
const ENDS_EARLY = new Set<Strategy>([...HALVES, 'asha']);

/** As the server takes it: a grid has no budget, ASHA prunes by itself, and rungs decide on the epochs. */
export function searchOf(search: Search) {
  const { strategy, metric, pruner, trials, epochs, eta, min_epochs } = search;
  const grid = strategy === 'grid';
  const halves = HALVES.has(strategy);
  return {
    strategy,
    metric,
    pruner: grid || halves || strategy === 'asha' ? null : pruner,
    trials: grid || !trials ? null : Number(trials),
    epochs: grid || halves || !epochs ? null : Number(epochs),
    eta: halves && eta ? Number(eta) : null,
    min_epochs: halves && min_epochs ? Number(min_epochs) : null,
    replicates: ENDS_EARLY.has(strategy) ? 1 : (replicatesOf(search.replicates) ?? 1),
  };
}

interface ChoiceProps<T extends string> {
  title: string;
  name: string;
  options: Record<T, string>;
  value: T;
  onChange: (value: T) => void;
}

function Choice<T extends string>({ title, name, options, value, onChange }: ChoiceProps<T>) {
  return (
    <Labelled title={title}>
      {id => (
        <select id={id} name={name} value={value} onChange={e => onChange(e.target.value as T)}>
          {Object.entries<string>(options).map(([option, text]) => (
            <option key={option} value={option}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Labelled>
  );
}

interface CountProps {
  title: string;
  name: string;
  note?: string;
  value: string;
  onChange: (value: string) => void;
}

const Count = ({ title, name, note, value, onChange }: CountProps) => (
  <Labelled title={title} note={note}>
    {id => (
      <input
        id={id}
        name={name}
        type="number"
        min={1}
        value={value}
        onChange={e => onChange(e.target.value)}
      />
    )}
  </Labelled>
);

interface Props {
  search: Search;
  /** Of a notebook's parameters: it cannot be paused between two epochs. */
  notebook?: boolean;
  /** Of the first replicate, where it is known. */
  seed?: number;
  onChange: (search: Search) => void;
}

/** Whether what was typed can be asked for. */
export const isReadable = ({ strategy, replicates }: Search): boolean =>
  ENDS_EARLY.has(strategy) || replicatesOf(replicates) !== null;

export function StrategyFields({ search, notebook, seed, onChange }: Props) {
  const { strategy, metric, pruner, trials, epochs, eta, min_epochs } = search;
  const halves = HALVES.has(strategy);
  const put = (part: Partial<Search>) => onChange({ ...search, ...part });
  return (
    <>
      <Choice
        title="Strategy"
        name="strategy"
        options={notebook ? WITHOUT_PAUSES : STRATEGIES}
        value={strategy}
        onChange={value =>
          put({ strategy: value, trials: HALVES.has(value) ? '' : trials || FIRST_SEARCH.trials })
        }
      />
      <Choice
        title="Judge by"
        name="metric"
        options={METRICS}
        value={metric}
        onChange={value => put({ metric: value })}
      />
      {strategy !== 'grid' && (
        <>
          <Count
            title="Trials"
            name="trials"
            note={halves ? 'empty: as many as the rungs suit' : undefined}
            value={trials}
            onChange={value => put({ trials: value })}
          />
          {!halves && (
            <Count
              title="Epochs of all trials"
              name="epochs"
              note="empty: no limit"
              value={epochs}
              onChange={value => put({ epochs: value })}
            />
          )}
        </>
      )}
      {halves && (
        <>
          <Count
            title="Eta"
            name="eta"
            note="the best 1/eta of each rung goes on"
            value={eta}
            onChange={value => put({ eta: value })}
          />
          <Count
            title="Epochs to the first rung"
            name="min_epochs"
            note="at least"
            value={min_epochs}
            onChange={value => put({ min_epochs: value })}
          />
        </>
      )}
      {(strategy === 'random' || strategy === 'tpe') && (
        <Choice
          title="End bad trials early"
          name="pruner"
          options={PRUNERS}
          value={pruner}
          onChange={value => put({ pruner: value })}
        />
      )}
      {!ENDS_EARLY.has(strategy) && (
        <ReplicatesField
          value={search.replicates}
          seed={seed}
          onChange={value => put({ replicates: value })}
        />
      )}
    </>
  );
}
