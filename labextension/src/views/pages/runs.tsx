// The page of all runs: found by a query, some of them chosen and acted on together.
import { useState } from 'react';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { ColumnChooser } from '../runs/column_chooser';
import { RunFilterBar } from '../runs/filter_bar';
import { RunGrid } from '../runs/run_grid';
import { useRunSelection } from '../runs/run_selection';
import { FIRST_VIEW, useRunList, type ListView, type RunList } from '../runs/use_run_list';
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

/** The page of all runs. */
export function RunsPage() {
  const navigate = useNavigate();
  const [view, setView] = useState(FIRST_VIEW);
  const [editing, setEditing] = useState<{ id: string; column: string } | null>(null);
  const list = useRunList(view);
  const selection = useRunSelection(list.rows, list.query);
  const chosen = [...selection.chosen.keys()];
  return (
    <div className="imgcls-runs-page">
      <header className="imgcls-page-head">
        <h1>Runs</h1>
      </header>
      <RunFilterBar list={list} view={view} onView={setView}>
        <ColumnChooser all={list.all} keys={list.keys} onChange={columns => setView({ ...view, columns })} />
      </RunFilterBar>
      <RunGrid
        {...list}
        total={list.snapshot.rows ?? 0}
        busy={list.snapshot.loading}
        sorting={view.sorting}
        onSort={sorting => setView({ ...view, sorting })}
        selection={selection}
        onOpen={run => navigate({ view: 'run', id: run.id })}
        editing={editing}
        onEdit={setEditing}
        onSave={() => undefined}
      />
      <Nothing list={list} view={view} onView={setView} />
      <Problem>{selection.error}</Problem>
      {chosen.length > 0 && (
        <footer className="imgcls-chosen">
          <b>{chosen.length} selected:</b>
          <Button
            primary
            disabled={chosen.length < 2}
            onClick={() => navigate({ view: 'compare', ids: chosen })}
          >
            {chosen.length < 2 ? 'Compare' : `Compare ${chosen.length}`}
          </Button>
          <Button onClick={() => navigate({ view: 'tensorboard', run_ids: chosen })}>TensorBoard</Button>
        </footer>
      )}
    </div>
  );
}
