// Several values of some settings: with any, the form of a run is the form of a sweep. Checked as it is typed.
import { useState } from 'react';
import type { TrainConfig } from '../data/asked';
import type { SweepRequest } from '../data/types';
import { useQuery } from '../data/use_query';
import { useRested } from '../data/use_rested';
import { count, plural } from '../ui/format';
import type { Layout } from './config_form';
import { kindsOf, type Property } from './sweep_space';
import { SpaceFields, useSpace } from './sweep_space_fields';
import { FIRST_SEARCH, StrategyFields, isReadable, searchOf } from './sweep_strategy_fields';

type Parts = Pick<
  SweepRequest,
  'space' | 'strategy' | 'metric' | 'pruner' | 'trials' | 'epochs' | 'eta' | 'min_epochs' | 'replicates'
>;

/** What has been typed of a sweep. `open`: whether it is one from the start. */
export function useSweep(
  layout: Layout,
  properties: Record<string, Property>,
  config: TrainConfig,
  open: boolean,
) {
  const [on, setOn] = useState(open);
  const [search, setSearch] = useState({
    ...FIRST_SEARCH,
    metric: (config.monitor_metric ?? FIRST_SEARCH.metric) as typeof FIRST_SEARCH.metric,
  });
  const space = useSpace([...layout.fields.keys()], name => kindsOf(properties[name], config[name]));
  const parts: Parts = { ...searchOf(search), space: space.space };
  const typed: SweepRequest | null =
    on && space.complete && isReadable(search) ? { ...parts, base: config } : null;
  const rested = useRested(typed);
  const asked = JSON.stringify(rested) === JSON.stringify(typed) ? rested : null;
  const { data, error, loading } = useQuery('sweepCheck', asked);
  const checked = asked !== null && !loading ? data : undefined;
  const wrong = Object.fromEntries((checked?.problems ?? []).map(({ field, message }) => [field, message]));
  return {
    on,
    setOn,
    search,
    setSearch,
    space,
    /** As the server takes them; null: it is no sweep. */
    parts: on ? parts : null,
    /** A sentence by the setting's name, or by `space`. */
    wrong,
    error,
    trials: checked?.trials ?? null,
    /** Of halving: the epochs of all trials together, and those at the rungs. */
    epochs: checked?.epochs ?? null,
    rungs: checked?.rungs ?? [],
    valid: !on || (checked !== undefined && checked.problems.length === 0),
  };
}

export type SweepState = ReturnType<typeof useSweep>;

/** How many trials, and about how long, as far as it is known. */
export function trialsText({ on, trials, valid, search, epochs, rungs }: SweepState): string | null {
  if (!on || !valid) return null;
  if (trials === null) return 'as many trials as the epochs allow';
  if (epochs !== null) {
    const all = count(trials * rungs[rungs.length - 1]!);
    return `${plural(trials, 'trial')}, ${count(epochs)} epochs together instead of ${all}`;
  }
  const each = searchOf(search).replicates;
  const runs = each > 1 ? `, ${plural(trials * each, 'run')}` : '';
  return search.strategy === 'grid'
    ? `${count(trials)} cells: ${plural(trials, 'trial')}${runs}`
    : `${plural(trials, 'trial')}${runs}`;
}

interface Props {
  layout: Layout;
  sweep: SweepState;
  base: TrainConfig;
}

export function SweepSection({ layout, sweep, base }: Props) {
  const { on, setOn, search, setSearch, space, wrong, error } = sweep;
  if (!on)
    return (
      <p className="imgcls-note">
        <button type="button" className="imgcls-plain" onClick={() => setOn(true)}>
          Try several values of a setting…
        </button>{' '}
        makes a sweep of it.
      </p>
    );
  const other = Object.entries(wrong).find(([name]) => !(name in space.space));
  return (
    <>
      <SpaceFields
        {...{ space, base, wrong }}
        fields={layout.fields}
        names={[...layout.fields.keys()].filter(name => name !== 'root' && name !== 'plugins')}
      />
      <fieldset>
        <legend>Search</legend>
        <StrategyFields search={search} seed={Number(base.seed ?? 0)} onChange={setSearch} />
      </fieldset>
      {(error || other) && (
        <p className="imgcls-problem" role="alert">
          {error ?? other![1]}
        </p>
      )}
      <p className="imgcls-note" role="status">
        Each trial is a run with the settings of this form, but for those.{' '}
        <button type="button" className="imgcls-plain" onClick={() => setOn(false)}>
          One run instead
        </button>
      </p>
    </>
  );
}
