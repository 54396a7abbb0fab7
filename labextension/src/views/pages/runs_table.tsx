// The table of all runs: found by text, project and state, sorted by a column, page by page; some of them chosen.
import { useCallback, useEffect, useReducer, useState, type ReactNode } from 'react';
import type { RunsQuery } from '../data/source';
import { RUN_STATES, isActive, type Run, type RunPage, type RunState } from '../data/types';
import { useQuery } from '../data/use_query';
import { useOnChange, useRuns } from '../data/use_runs';
import { Button } from '../ui/button';
import { ago, duration, formatNumber, leaf, metric, modelOf, ranFor } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { State, progressOf } from '../ui/run_state';
import { useNow } from '../ui/use_now';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/table.css';
import '../ui/toolbar.css';
import './runs_table.css';

const PAGE = 50;
const QUERY_HELP =
  'Words are looked for in name, id, model, data and notes. Or conditions, which must all hold: lr>1e-3, ' +
  'batch_size=64, best>=90%, state=succeeded, project=birds, name=exp-*, notes:warm-up, created>7d, ran>2h, ' +
  'metric/macro_f1>0.8, and each field of a config: optimizer=sgd, freeze_backbone=true.';
const TYPING = 250; // ms without a key before the server is asked
type Column = [sort: string, title: string, show: (run: Run, now: number) => string, wide?: boolean];
const OWNER: Column = ['owner', 'owner', run => run.owner || '–', true];
const COLUMNS: Column[] = [
  ['model_flavour', 'model', modelOf, true],
  ['root', 'data', run => leaf(run.root), true],
  ['best', 'best', run => (run.best ? metric(run.best.metric, run.best.value) : '–')],
  ['epoch', 'epoch', run => (run.epochs ? `${Math.floor(run.epoch + 1e-6)} / ${run.epochs}` : '–')],
  ['lr', 'lr', run => formatNumber(run.lr)],
  ['batch_size', 'batch', run => formatNumber(run.batch_size)],
  ['ran', 'time', (run, now) => duration(ranFor(run, now))],
  ['created_at', 'made', (run, now) => ago(run.created_at, now)],
];
const START: RunsQuery = { sort: 'created_at', order: 'desc', limit: PAGE, offset: 0 };

interface Choice {
  chosen: ReadonlySet<string>;
  onChoose: (run: Run, on: boolean) => void;
}

type Change = (part: Partial<RunsQuery>) => void;

interface FiltersProps {
  filter: RunsQuery;
  page: RunPage | undefined;
  projects: { id: number; name: string }[] | undefined;
  onChange: Change;
  children: ReactNode;
}

/** Whose runs are listed; shown where there are several owners. */
function OwnerFilter({
  owners,
  filter,
  onChange,
}: {
  owners: string[];
  filter: RunsQuery;
  onChange: Change;
}) {
  const { data: info } = useQuery('info', {});
  if (owners.length < 2 && !filter.owner) return null;
  const mine = info?.user;
  const others = owners.filter(owner => owner && owner !== mine);
  return (
    <select
      aria-label="Owner"
      value={filter.owner ?? ''}
      onChange={e => onChange({ owner: e.target.value || undefined })}
    >
      <option value="">all owners</option>
      {mine && <option value={mine}>mine</option>}
      {others.map(owner => (
        <option key={owner} value={owner}>
          {owner}
        </option>
      ))}
    </select>
  );
}

function Filters({ filter, page, projects, onChange, children }: FiltersProps) {
  const counts = page?.counts;
  const [typed, setTyped] = useState('');
  useEffect(() => {
    const where = typed.trim() || undefined;
    if (where === filter.where) return;
    const timer = setTimeout(() => onChange({ where }), TYPING);
    return () => clearTimeout(timer);
  }, [typed, filter.where, onChange]);
  return (
    <div className="imgcls-filters">
      <input
        type="search"
        aria-label="Find runs"
        placeholder="Words, or lr>0.01 best>90%"
        title={QUERY_HELP}
        value={typed}
        onChange={e => setTyped(e.target.value)}
      />
      <select
        aria-label="State"
        value={filter.states?.[0] ?? ''}
        onChange={e => onChange({ states: e.target.value ? [e.target.value as RunState] : undefined })}
      >
        <option value="">all states</option>
        {RUN_STATES.map(state => (
          <option key={state} value={state}>
            {state}
            {counts?.[state] ? ` (${counts[state]})` : ''}
          </option>
        ))}
      </select>
      {projects && projects.length > 1 && (
        <select
          aria-label="Project"
          value={filter.project ?? ''}
          onChange={e => onChange({ project: e.target.value ? Number(e.target.value) : undefined })}
        >
          <option value="">all projects</option>
          {projects.map(project => (
            <option key={project.id} value={project.id}>
              {project.name}
            </option>
          ))}
        </select>
      )}
      <OwnerFilter owners={page?.owners ?? []} {...{ filter, onChange }} />
      <span className="imgcls-spacer" />
      {children}
    </div>
  );
}

interface HeaderProps {
  column: string;
  title: string;
  left?: boolean;
  filter: RunsQuery;
  onChange: Change;
}

/** The head of a column; a click sorts by it, another one the other way round. */
function Header({ column, title, left, filter, onChange }: HeaderProps) {
  const sorted = filter.sort === column;
  const down = filter.order === 'desc';
  return (
    <th
      className={left ? 'imgcls-left' : undefined}
      aria-sort={sorted ? (down ? 'descending' : 'ascending') : 'none'}
    >
      <button
        type="button"
        className="imgcls-sort"
        onClick={() => onChange({ sort: column, order: sorted && down ? 'asc' : 'desc' })}
      >
        {title}
        {sorted ? (down ? ' ↓' : ' ↑') : ''}
      </button>
    </th>
  );
}

interface RowProps extends Choice {
  run: Run;
  now: number;
  columns: Column[];
}

function Row({ run, now, columns, chosen, onChoose }: RowProps) {
  const navigate = useNavigate();
  return (
    <tr data-run={run.id} aria-selected={chosen.has(run.id)}>
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
          onClick={() => navigate({ view: 'run', id: run.id })}
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
      {columns.map(([column, , show, left]) => (
        <td
          key={column}
          className={left ? 'imgcls-left imgcls-clip' : undefined}
          title={left ? String(run[column as keyof Run] ?? '') : undefined}
        >
          {show(run, now)}
        </td>
      ))}
    </tr>
  );
}

function Pager({ offset, total, onChange }: { offset: number; total: number; onChange: Change }) {
  return (
    <div className="imgcls-buttons">
      <Button disabled={offset === 0} onClick={() => onChange({ offset: Math.max(0, offset - PAGE) })}>
        ‹ Newer
      </Button>
      <span className="imgcls-muted imgcls-num">
        {offset + 1} to {Math.min(total, offset + PAGE)} of {total}
      </span>
      <Button disabled={offset + PAGE >= total} onClick={() => onChange({ offset: offset + PAGE })}>
        Older ›
      </Button>
    </div>
  );
}

/** A filter after a change; but for a move to another page it begins at the first one. */
const change = (was: RunsQuery, part: Partial<RunsQuery>): RunsQuery => ({
  ...was,
  offset: 0,
  ...part,
});

/** The table with its filters; a page's own buttons stand at the right of the filters. */
export function RunsTable({ chosen, onChoose, children }: Choice & { children?: ReactNode }) {
  const { runs, counts } = useRuns();
  const { data: projects, reload: reloadProjects } = useQuery('projects', {});
  const [filter, onChange] = useReducer(change, START);
  const { data, error, reload } = useQuery('runs', filter);
  const reloadAll = useCallback(() => {
    reload(); // a run came, went or changed its state
    reloadProjects(); // it may have brought a project with it
  }, [reload, reloadProjects]);
  useOnChange(Object.entries(counts).join(), reloadAll);
  const rows = data?.items.map(run => runs.get(run.id) ?? run) ?? [];
  const columns = (data?.owners.length ?? 0) > 1 ? [OWNER, ...COLUMNS] : COLUMNS;
  const now = useNow(rows.some(run => run.running_since != null));
  return (
    <div
      className="imgcls-stack"
      onPointerEnter={reloadProjects} // one may have been made elsewhere
    >
      <Filters {...{ filter, projects, onChange }} page={data}>
        {children}
      </Filters>
      <Problem>{error}</Problem>
      <div className="imgcls-scroll">
        <table className="imgcls-table imgcls-runs">
          <thead>
            <tr>
              <th className="imgcls-check" aria-label="Chosen" />
              <Header column="name" title="run" left {...{ filter, onChange }} />
              <Header column="state" title="state" left {...{ filter, onChange }} />
              {columns.map(([column, title, , left]) => (
                <Header key={column} {...{ column, title, left, filter, onChange }} />
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(run => (
              <Row key={run.id} {...{ run, now, columns, chosen, onChoose }} />
            ))}
          </tbody>
        </table>
      </div>
      {data?.total === 0 && (
        <p className="imgcls-muted">
          {filter.where || filter.states || filter.project || filter.owner
            ? 'No run is like that.'
            : 'No runs yet.'}
        </p>
      )}
      {data && data.total > PAGE && (
        <Pager offset={filter.offset ?? 0} total={data.total} onChange={onChange} />
      )}
    </div>
  );
}
