// The form of a sweep: the settings of a run, and which of them take several values. Launch queues its driver.
import { useMemo, useState } from 'react';
import type { RunDetail } from '../data/types';
import { useQuery } from '../data/use_query';
import { count, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { Await, LaunchButton, RunName, useLaunch } from './launch';
import { cellsOf, kindsOf, type Property } from './sweep_space';
import { SpaceFields, useSpace } from './sweep_space_fields';
import { FIRST_SEARCH, StrategyFields, searchOf } from './sweep_strategy_fields';
import '../ui/inputs.css';
import '../ui/layout.css';
import './form.css';

type Values = Record<string, unknown>;

/** What the trials share, and the names of what they may differ in. */
function useBase(run: RunDetail) {
  const { data: schema } = useQuery('schema', {});
  const notebook = run.kind === 'notebook';
  const base = useMemo(
    () => (notebook ? ((run.payload.parameters ?? {}) as Values) : run.config),
    [notebook, run],
  );
  const properties = (schema?.json_schema.properties ?? {}) as Record<string, Property>;
  const names = notebook ? Object.keys(base) : Object.keys(properties).sort();
  const kinds = (name: string) => kindsOf(notebook ? undefined : properties[name], base[name]);
  return { base, names, kinds, notebook };
}

function Form({ run, onLaunched }: { run: RunDetail; onLaunched?: () => void }) {
  const { busy, error, launch } = useLaunch(onLaunched);
  const { base, names, kinds, notebook } = useBase(run);
  const space = useSpace(names, kinds);
  const [search, setSearch] = useState(FIRST_SEARCH);
  const [name, setName] = useState('');
  const isGrid = search.strategy === 'grid';
  const cells = cellsOf(Object.values(space.space));
  const submit = () =>
    launch('sweep', {
      ...searchOf(search),
      base,
      space: space.space,
      notebook: notebook ? String(run.payload.notebook ?? '') : null,
      name: name.trim() || null,
      project_id: run.project_id,
    });
  return (
    <form
      className="imgcls-form"
      onSubmit={event => {
        event.preventDefault();
        if (space.complete && !busy) void submit();
      }}
    >
      <header className="imgcls-form-head">
        <h1>Sweep from {run.name}</h1>
      </header>
      <p className="imgcls-note">
        Each trial is a run with the {notebook ? 'parameters' : 'settings'} of this one, but for those below.
        One that some sweep has run already is taken as it is.
      </p>
      <SpaceFields {...{ space, names, base }} />
      <fieldset>
        <legend>How</legend>
        <StrategyFields search={search} onChange={setSearch} />
        <RunName title="Name of the sweep" value={name} onChange={setName} />
      </fieldset>
      <Problem>{error}</Problem>
      <div className="imgcls-buttons imgcls-form-foot">
        <LaunchButton busy={busy} disabled={!space.complete || (isGrid && cells === null)} />
        {space.complete && isGrid && (
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
    <Await answer={useQuery('run', { id: from })} pending="Reading the run…">
      {run => (
        <div className="imgcls-form-page">
          <Form run={run} onLaunched={onLaunched} />
        </div>
      )}
    </Await>
  );
}
