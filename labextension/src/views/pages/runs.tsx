// All runs: found by text, project and state, sorted by a column, page by page; some of them chosen to be compared.
import { useEffect, useRef, useState } from 'react';
import { ago, duration, figure, leaf, metric, ranFor } from '../ui/format';
import { useFeed, useNow, useQuery } from '../data/hooks';
import { useGo } from '../ui/navigation';
import type { RunsQuery } from '../data/source';
import { Button, Problem, State, progressOf } from '../ui/states';
import { RUN_STATES, isActive, type Run, type RunState } from '../data/types';

const PAGE = 50;
const COLUMNS: [sort: string, title: string, show: (run: Run, now: number) => string, wide?: boolean][] = [
  ['model_flavour', 'model', run => leaf(run.model_flavour), true],
  ['root', 'data', run => leaf(run.root), true],
  ['best', 'best', run => (run.best ? metric(run.best.metric, run.best.value) : '–')],
  ['epoch', 'epoch', run => (run.epochs ? `${Math.floor(run.epoch + 1e-6)} / ${run.epochs}` : '–')],
  ['lr', 'lr', run => figure(run.lr)],
  ['batch_size', 'batch', run => figure(run.batch_size)],
  ['ran', 'time', (run, now) => duration(ranFor(run, now))],
  ['created_at', 'made', (run, now) => ago(run.created_at, now)],
];

interface Chooser {
  chosen: ReadonlySet<string>;
  onChoose: (run: Run, on: boolean) => void;
}

/** The table with its filters; a page's own buttons stand at the right of the filters. */
export function RunsTable({ chosen, onChoose, children }: Chooser & { children?: React.ReactNode }) {
  const go = useGo();
  const feed = useFeed();
  const { data: projects, reload: reloadProjects } = useQuery('projects', {});
  const [typed, setTyped] = useState('');
  const [filter, setFilter] = useState<RunsQuery>({
    sort: 'created_at',
    order: 'desc',
    limit: PAGE,
    offset: 0,
  });
  const { data, error, reload } = useQuery('runs', filter);
  const put = (part: Partial<RunsQuery>) => setFilter(was => ({ ...was, offset: 0, ...part }));
  useEffect(() => {
    const timer = setTimeout(
      () =>
        setFilter(was =>
          was.q === (typed || undefined) ? was : { ...was, offset: 0, q: typed || undefined },
        ),
      250,
    );
    return () => clearTimeout(timer);
  }, [typed]);
  const marks = Object.entries(feed.counts).join();
  const seen = useRef(marks);
  useEffect(() => {
    if (seen.current === marks) return;
    seen.current = marks;
    reload(); // a run came, went or changed its state
    reloadProjects(); // it may have brought a project with it
  }, [marks, reload, reloadProjects]);

  const rows = data?.items.map(run => feed.runs.get(run.id) ?? run) ?? [];
  const now = useNow(rows.some(run => run.running_since != null));
  const offset = filter.offset ?? 0;
  const sortBy = (column: string) =>
    put({ sort: column, order: filter.sort === column && filter.order === 'desc' ? 'asc' : 'desc' });
  const header = (column: string, title: string, left = false) => (
    <th
      key={column}
      className={left ? 'imgcls-left' : undefined}
      aria-sort={filter.sort === column ? (filter.order === 'desc' ? 'descending' : 'ascending') : 'none'}
    >
      <button type="button" className="imgcls-sort" onClick={() => sortBy(column)}>
        {title}
        {filter.sort === column ? (filter.order === 'desc' ? ' ↓' : ' ↑') : ''}
      </button>
    </th>
  );
  return (
    <div
      className="imgcls-stack"
      onPointerEnter={reloadProjects} // one may have been made elsewhere
    >
      <div className="imgcls-filters">
        <input
          type="search"
          aria-label="Find runs"
          placeholder="Find by name, model or data"
          value={typed}
          onChange={e => setTyped(e.target.value)}
        />
        <select
          aria-label="State"
          value={filter.states?.[0] ?? ''}
          onChange={e => put({ states: e.target.value ? [e.target.value as RunState] : undefined })}
        >
          <option value="">all states</option>
          {RUN_STATES.map(state => (
            <option key={state} value={state}>
              {state}
              {data?.counts[state] ? ` (${data.counts[state]})` : ''}
            </option>
          ))}
        </select>
        {projects && projects.length > 1 && (
          <select
            aria-label="Project"
            value={filter.project ?? ''}
            onChange={e => put({ project: e.target.value ? Number(e.target.value) : undefined })}
          >
            <option value="">all projects</option>
            {projects.map(project => (
              <option key={project.id} value={project.id}>
                {project.name}
              </option>
            ))}
          </select>
        )}
        <span className="imgcls-spacer" />
        {children}
      </div>
      <Problem>{error}</Problem>
      <div className="imgcls-scroll">
        <table className="imgcls-table imgcls-runs">
          <thead>
            <tr>
              <th className="imgcls-check" aria-label="Chosen" />
              {header('name', 'run', true)}
              {header('state', 'state', true)}
              {COLUMNS.map(([column, title, , left]) => header(column, title, left))}
            </tr>
          </thead>
          <tbody>
            {rows.map(run => (
              <tr key={run.id} data-run={run.id} aria-selected={chosen.has(run.id)}>
                <td className="imgcls-check">
                  <input
                    type="checkbox"
                    aria-label={`Choose ${run.name}`}
                    checked={chosen.has(run.id)}
                    onChange={e => onChoose(run, e.target.checked)}
                  />
                </td>
                <td className="imgcls-left">
                  <button
                    type="button"
                    className="imgcls-run-link imgcls-clip"
                    title={run.name}
                    onClick={() => go({ view: 'run', id: run.id })}
                  >
                    {run.name}
                  </button>
                </td>
                <td className="imgcls-left">
                  <State state={run.state} unreachable={run.unreachable} />
                  {isActive(run.state) && run.total_steps ? (
                    <span className="imgcls-muted imgcls-num"> {Math.round(progressOf(run) * 100)} %</span>
                  ) : (
                    ''
                  )}
                </td>
                {COLUMNS.map(([column, , show, left]) => (
                  <td
                    key={column}
                    className={left ? 'imgcls-left imgcls-clip' : undefined}
                    title={left ? String(run[column as keyof Run] ?? '') : undefined}
                  >
                    {show(run, now)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {data && data.total === 0 && (
        <p className="imgcls-muted">
          {filter.q || filter.states || filter.project ? 'No run is like that.' : 'No runs yet.'}
        </p>
      )}
      {data && data.total > PAGE && (
        <div className="imgcls-buttons imgcls-pager">
          <Button disabled={offset === 0} onClick={() => put({ offset: Math.max(0, offset - PAGE) })}>
            ‹ Newer
          </Button>
          <span className="imgcls-muted imgcls-num">
            {offset + 1} to {Math.min(data.total, offset + PAGE)} of {data.total}
          </span>
          <Button disabled={offset + PAGE >= data.total} onClick={() => put({ offset: offset + PAGE })}>
            Older ›
          </Button>
        </div>
      )}
    </div>
  );
}

/** The page of all runs. */
export function RunsPage() {
  const go = useGo();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const choose = (run: Run, on: boolean) =>
    setChosen(was => {
      const next = new Set(was);
      if (on) next.add(run.id);
      else next.delete(run.id);
      return next;
    });
  return (
    <div className="imgcls-page">
      <header className="imgcls-page-head">
        <h1>Runs</h1>
      </header>
      <RunsTable chosen={chosen} onChoose={choose}>
        {chosen.size > 0 && (
          <button type="button" className="imgcls-plain" onClick={() => setChosen(new Set())}>
            clear {chosen.size}
          </button>
        )}
        <Button disabled={chosen.size === 0} onClick={() => go({ view: 'board', run_ids: [...chosen] })}>
          TensorBoard
        </Button>
        <Button primary disabled={chosen.size < 2} onClick={() => go({ view: 'compare', ids: [...chosen] })}>
          {chosen.size < 2 ? 'Compare' : `Compare ${chosen.size}`}
        </Button>
      </RunsTable>
    </div>
  );
}
