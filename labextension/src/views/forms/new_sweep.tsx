// The form of a sweep: of a notebook's parameters here, of settings in the form of a run. Launch queues its driver.
import { useMemo, useState } from 'react';
import type { RunDetail } from '../data/types';
import { useQuery } from '../data/use_query';
import { count, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { Await, LaunchButton, RunName, useLaunch } from './launch';
import { NewRun } from './new_run';
import { cellsOf, kindsOf } from './sweep_space';
import { SpaceFields, useSpace } from './sweep_space_fields';
import { FIRST_SEARCH, StrategyFields, isReadable, searchOf } from './sweep_strategy_fields';
import '../ui/inputs.css';
import '../ui/layout.css';
import './form.css';

/** The parameters that the trials share, and what kinds of values they take. */
function useBase(run: RunDetail) {
  const base = useMemo(() => (run.payload.parameters ?? {}) as Record<string, unknown>, [run]);
  return { base, names: Object.keys(base), kinds: (name: string) => kindsOf(undefined, base[name]) };
}

function Form({ run, onLaunched }: { run: RunDetail; onLaunched?: () => void }) {
  const { busy, error, launch } = useLaunch(onLaunched);
  const { base, names, kinds } = useBase(run);
  const space = useSpace(names, kinds);
  const [search, setSearch] = useState(FIRST_SEARCH);
  const [name, setName] = useState('');
  const isGrid = search.strategy === 'grid';
  const cells = cellsOf(Object.values(space.space));
  const complete = space.complete && isReadable(search);
  const each = searchOf(search).replicates;
  const submit = () =>
    launch('sweep', {
      ...searchOf(search),
      base,
      space: space.space,
      notebook: String(run.payload.notebook ?? ''),
      name: name.trim() || null,
      project_id: run.project_id,
    });
  return (
    <form
      className="imgcls-form"
      onSubmit={event => {
        event.preventDefault();
        if (complete && !busy) void submit();
      }}
    >
      <div className="imgcls-form-head">
        <h1>Sweep from {run.name}</h1>
      </div>
      <p className="imgcls-note">
        Each trial is a run with the parameters of this one, but for those below. One that some sweep has run
        already is taken as it is.
      </p>
      <SpaceFields {...{ space, names, base }} />
      <fieldset>
        <legend>How</legend>
        <StrategyFields search={search} notebook onChange={setSearch} />
        <RunName title="Name of the sweep" value={name} onChange={setName} />
      </fieldset>
      <Problem>{error}</Problem>
      <div className="imgcls-buttons imgcls-form-foot">
        <LaunchButton busy={busy} disabled={!complete || (isGrid && cells === null)} />
        {complete && isGrid && (
          <span className="imgcls-note">
            {cells === null
              ? 'A grid needs values, or ranges with a step.'
              : `${count(cells)} cells: ${plural(cells, 'trial')}${each > 1 ? `, ${plural(cells * each, 'run')}` : ''}`}
          </span>
        )}
      </div>
    </form>
  );
}

/** A new sweep: of trainings the form of a run, with several values of a setting; of a notebook its parameters. */
export function NewSweep({ from, onLaunched }: { from?: string; onLaunched?: () => void }) {
  return from ? (
    <SweepFrom from={from} onLaunched={onLaunched} />
  ) : (
    <NewRun sweeping onLaunched={onLaunched} />
  );
}

function SweepFrom({ from, onLaunched }: { from: string; onLaunched?: () => void }) {
  return (
    <Await answer={useQuery('run', { id: from })} pending="Reading the run…">
      {run =>
        run.kind === 'notebook' ? (
          <div className="imgcls-form-page">
            <Form run={run} onLaunched={onLaunched} />
          </div>
        ) : (
          <NewRun from={from} sweeping onLaunched={onLaunched} />
        )
      }
    </Await>
  );
}
