// What stands over the table of runs: the box of filters, what it finds, and what is wrong with it.
import { useRef, type ReactNode } from 'react';
import type { ListView } from '../data/run_rows';
import { count, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { FilterMenu } from './filter_menu';
import { QueryBox } from './query_box';
import { textOf } from './query_text';
import { everythingOf, type RunList } from './use_run_list';
import '../ui/toolbar.css';

interface Props {
  list: RunList;
  view: ListView;
  onView: (view: ListView) => void;
  /** Buttons at the right. */
  children?: ReactNode;
}

export function RunFilterBar({ list, view, onView, children }: Props) {
  const { reply, error } = list.snapshot;
  const latest = useRef(view);
  latest.current = view;
  const ask = (where: string) => {
    latest.current = { ...latest.current, where }; // a proposal may change the query and the order at once
    onView(latest.current);
  };
  return (
    <>
      <div className="imgcls-filters">
        <QueryBox
          text={view.where}
          words={list.words}
          onChange={ask}
          onSort={sorting => onView({ ...latest.current, sorting })}
        />
        <FilterMenu words={list.words} onAdd={terms => ask(textOf([view.where, ...terms]))} />
        {reply && (
          <span className="imgcls-muted imgcls-num" role="status">
            {view.where
              ? `${count(reply.runs)} of ${plural(everythingOf(list) ?? 0, 'run')}`
              : plural(reply.runs, 'run')}
          </span>
        )}
        <span className="imgcls-filters-end">{children}</span>
      </div>
      <Problem>{error}</Problem>
    </>
  );
}
