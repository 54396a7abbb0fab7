// The page of all runs: found by a query, some of them chosen and acted on together.
import { useCallback, useEffect, useMemo, useState } from 'react';
import { useSource } from '../data/source';
import type { ListView } from '../data/run_rows';
import type { Run } from '../data/types';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { ChosenBar } from '../runs/chosen_bar';
import { chosenRunsOf } from '../runs/chosen_runs';
import { ColumnChooser } from '../runs/column_chooser';
import { RunFilterBar } from '../runs/filter_bar';
import { GroupMenu } from '../runs/group_menu';
import { OutcomeNote } from '../runs/outcome_note';
import type { Outcome } from '../runs/run_actions';
import { RunGrid } from '../runs/run_grid';
import { useRunSelection } from '../runs/run_selection';
import { useRunActions } from '../runs/use_run_actions';
import { ViewBar } from '../runs/view_bar';
import { FIRST_VIEW, everythingOf, useRunList, type RunList } from '../runs/use_run_list';
import '../ui/layout.css';
import './runs.css';

/** What stands in place of the rows while there are none. */
function Nothing({
  list,
  view,
  onView,
}: {
  list: RunList;
  view: ListView;
  onView: (view: ListView) => void;
}) {
  const navigate = useNavigate();
  const { reply, error, loading } = list.snapshot;
  if (!reply && loading) return <p className="imgcls-muted">Loading the runs…</p>;
  if (!reply && error)
    return (
      <div>
        <Button onClick={list.rows.reload}>Try again</Button>
      </div>
    );
  if (reply?.total !== 0) return null;
  if (view.where)
    return (
      <div className="imgcls-empty">
        <p className="imgcls-muted">No run is like that.</p>
        <Button onClick={() => onView({ ...view, where: '' })}>Show all runs</Button>
      </div>
    );
  return (
    <div className="imgcls-empty">
      <b>No runs yet</b>
      <p className="imgcls-muted">A run trains a model on a folder of images.</p>
      <Button primary onClick={() => navigate({ view: 'new-run' })}>
        + New run
      </Button>
    </div>
  );
}

/** The chosen runs as they are by now. */
function useChosen(chosen: ReadonlyMap<string, Run>, live: ReadonlyMap<string, Run>): readonly Run[] {
  const source = useSource();
  const runs = useMemo(
    () =>
      [...chosen.values()].map(run => {
        const seen = live.get(run.id);
        return seen && seen.revision > run.revision ? seen : run;
      }),
    [chosen, live],
  );
  useEffect(() => chosenRunsOf(source).set(runs), [source, runs]);
  return runs;
}

const NONE: readonly string[] = [];

interface Props {
  start?: ListView;
  /** The list is another one now: the host keeps it with the tab. */
  onView?: (view: ListView) => void;
}

/** The page of all runs. */
export function RunsPage({ start = FIRST_VIEW, onView }: Props) {
  const [view, show] = useState(start);
  const setView = (next: ListView) => {
    show(next);
    onView?.(next);
  };
  const [editing, setEditing] = useState<{ id: string; column: string } | null>(null);
  const [lacking, setLacking] = useState(NONE);
  const lack = useCallback(
    (keys: readonly string[]) => setLacking(was => (was.join() === keys.join() ? was : keys)),
    [],
  );
  const list = useRunList(view);
  const selection = useRunSelection(list.rows, list.query);
  const { drop } = selection;
  const chosen = useChosen(selection.chosen, list.live);
  const forget = useCallback(({ gone }: Outcome) => drop(gone), [drop]);
  const actions = useRunActions(forget);
  return (
    <div className="imgcls-runs-page">
      <div className="imgcls-page-head">
        <h1>Runs</h1>
        <ViewBar
          view={view}
          first={FIRST_VIEW}
          onView={setView}
          actions={actions}
          all={everythingOf(list)}
          shown={list.snapshot.reply?.runs}
          runs={list.changes}
        />
      </div>
      <RunFilterBar list={list} view={view} onView={setView}>
        <GroupMenu group={view.group} onChange={group => setView({ ...view, group })} />
        <ColumnChooser
          all={list.all}
          keys={list.keys}
          lacking={lacking}
          onChange={columns => setView({ ...view, columns })}
        />
      </RunFilterBar>
      <RunGrid
        {...list}
        sorting={view.sorting}
        onSort={sorting => setView({ ...view, sorting })}
        onLacking={lack}
        selection={selection}
        editing={editing}
        onEdit={setEditing}
        onSave={actions.save}
      />
      <Nothing list={list} view={view} onView={setView} />
      <Problem>{selection.error}</Problem>
      <OutcomeNote actions={actions} />
      {chosen.length > 0 && (
        <ChosenBar
          runs={chosen}
          tags={list.words.values.tag ?? []}
          actions={actions}
          onClear={selection.clear}
        />
      )}
    </div>
  );
}
