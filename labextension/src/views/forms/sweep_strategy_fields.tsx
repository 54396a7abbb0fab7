// How a sweep searches: its strategy, the metric that it judges by, its budget, and when it ends bad trials early.
import { METRIC_TITLES, type SweepRequest } from '../data/types';
import { metricTitle } from '../ui/format';
import { Labelled } from './fields';
import '../ui/inputs.css';

type Strategy = SweepRequest['strategy'] & string;
type Metric = SweepRequest['metric'] & string;
type Pruner = SweepRequest['pruner'] & string;

const STRATEGIES: Record<Strategy, string> = {
  grid: 'every combination',
  random: 'random search',
  tpe: 'TPE, learns from the results',
  asha: 'ASHA, random with early ends',
};
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
}

export const FIRST_SEARCH: Search = {
  strategy: 'grid',
  metric: 'accuracy',
  pruner: 'none',
  trials: '20',
  epochs: '',
};

/** As the server takes it: a grid has no budget, and ASHA prunes by itself. */
export function searchOf({ strategy, metric, pruner, trials, epochs }: Search) {
  const grid = strategy === 'grid';
  return {
    strategy,
    metric,
    pruner: grid || strategy === 'asha' ? null : pruner,
    trials: grid || !trials ? null : Number(trials),
    epochs: grid || !epochs ? null : Number(epochs),
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

export function StrategyFields({ search, onChange }: { search: Search; onChange: (search: Search) => void }) {
  const { strategy, metric, pruner, trials, epochs } = search;
  const put = (part: Partial<Search>) => onChange({ ...search, ...part });
  return (
    <>
      <Choice
        title="Strategy"
        name="strategy"
        options={STRATEGIES}
        value={strategy}
        onChange={value => put({ strategy: value })}
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
          <Count title="Trials" name="trials" value={trials} onChange={value => put({ trials: value })} />
          <Count
            title="Epochs of all trials"
            name="epochs"
            note="empty: no limit"
            value={epochs}
            onChange={value => put({ epochs: value })}
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
    </>
  );
}
