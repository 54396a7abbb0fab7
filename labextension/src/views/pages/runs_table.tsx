// A table of all runs in a page of something else, such as a comparison: found by a query, some of them chosen.
import { useMemo, useState, type ReactNode } from 'react';
import type { ListView } from '../data/run_rows';
import type { Run } from '../data/types';
import { RunFilterBar } from '../runs/filter_bar';
import { RunGrid } from '../runs/run_grid';
import type { GridSelection } from '../runs/run_selection';
import { FIRST_VIEW, useRunList } from '../runs/use_run_list';
import './runs_table.css';

interface Props {
  chosen: ReadonlySet<string>;
  onChoose: (run: Run, on: boolean) => void;
  /** The page's own buttons, at the right of the filters. */
  children?: ReactNode;
}

export function RunsTable({ chosen, onChoose, children }: Props) {
  const [view, setView] = useState<ListView>({ ...FIRST_VIEW, group: [] }); // it takes runs one by one
  const list = useRunList(view);
  const selection = useMemo<GridSelection>(
    () => ({
      chosen,
      toggle: index => {
        const run = list.rows.at(index)?.run;
        if (run) onChoose(run, !chosen.has(run.id));
      },
    }),
    [chosen, onChoose, list.rows],
  );
  return (
    <div className="imgcls-runs-part">
      <RunFilterBar list={list} view={view} onView={setView}>
        {children}
      </RunFilterBar>
      <RunGrid
        {...list}
        sorting={view.sorting}
        onSort={sorting => setView({ ...view, sorting })}
        selection={selection}
      />
    </div>
  );
}
