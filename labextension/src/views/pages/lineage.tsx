// The tree of forks that a run belongs to: a bar for each run over the epochs that it trained, one axis for all.
import { useEffect } from 'react';
import { useQuery } from '../data/use_query';
import type { Run, RunDetail } from '../data/types';
import { count, metric, plural } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { State } from '../ui/run_state';
import { MiddleText } from '../ui/middle_text';
import '../ui/button.css';
import '../ui/layout.css';
import './lineage.css';

interface Branch {
  run: Run;
  /** How many forks are above it. */
  depth: number;
  /** Epochs at which its bar begins and ends. */
  from: number;
  to: number;
}

/** The runs as a tree, each behind its parent: a fork whose parent was deleted stands by itself. */
export function branchesOf(runs: readonly Run[]): Branch[] {
  const known = new Set(runs.map(run => run.id));
  const parentOf = (run: Run) =>
    run.fork_step != null && run.parent_id && known.has(run.parent_id) ? run.parent_id : null;
  const children = new Map<string | null, Run[]>();
  for (const run of runs) children.set(parentOf(run), [...(children.get(parentOf(run)) ?? []), run]);
  const walk = (parent: string | null, depth: number): Branch[] =>
    (children.get(parent) ?? []).flatMap(run => {
      const from = run.fork_epoch ?? 0;
      return [{ run, depth, from, to: Math.max(from, run.epoch) }, ...walk(run.id, depth + 1)];
    });
  return walk(null, 0);
}

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(2)}%`;

function Row({ branch, last, own }: { branch: Branch; last: number; own: boolean }) {
  const navigate = useNavigate();
  const { run, depth, from, to } = branch;
  const planned = Math.max(to, run.epochs ?? 0);
  return (
    <li className={own ? 'imgcls-branch imgcls-branch-own' : 'imgcls-branch'} aria-current={own || undefined}>
      <span className="imgcls-branch-name" style={{ paddingInlineStart: `${Math.min(depth, 8) * 14}px` }}>
        {depth > 0 && <span className="imgcls-branch-arm" aria-hidden="true" />}
        {own ? (
          <b className="imgcls-clip" title={run.name}>
            <MiddleText text={run.name} />
          </b>
        ) : (
          <button
            type="button"
            className="imgcls-plain imgcls-clip"
            onClick={() => navigate({ view: 'run', id: run.id })}
          >
            <MiddleText text={run.name} />
          </button>
        )}
      </span>
      <span
        className="imgcls-branch-track"
        title={`epoch ${from.toFixed(1)} to ${to.toFixed(1)} of ${count(planned)}`}
      >
        <span
          className="imgcls-branch-plan"
          style={{ left: percent(from, last), width: percent(planned - from, last) }}
        />
        <span
          className="imgcls-branch-bar"
          style={{ left: percent(from, last), width: percent(to - from, last) }}
        />
      </span>
      <State state={run.state} unreachable={run.unreachable} />
      <span className="imgcls-num imgcls-branch-best">
        {run.best ? `${metric(run.best.metric, run.best.value)} at ${run.best.epoch}` : '–'}
      </span>
    </li>
  );
}

export function Lineage({ run }: { run: RunDetail }) {
  const { data, reload } = useQuery('lineage', run.lineage ? { id: run.id } : null);
  const { epoch, state } = run;
  const done = Math.floor(epoch);
  useEffect(reload, [reload, done, state]);
  if (!run.lineage || !data || (data.length < 2 && run.fork_step == null)) return null;
  const branches = branchesOf(data);
  const last = Math.max(1, ...branches.map(({ run: each, to }) => Math.max(to, each.epochs ?? 0)));
  return (
    <section className="imgcls-card imgcls-lineage" aria-label="Lineage">
      <h3>
        Lineage{' '}
        <span className="imgcls-muted">
          · {plural(branches.length, 'run')} over {plural(Math.ceil(last), 'epoch')}, one axis for all
        </span>
      </h3>
      <ol>
        {branches.map(branch => (
          <Row key={branch.run.id} branch={branch} last={last} own={branch.run.id === run.id} />
        ))}
      </ol>
    </section>
  );
}
