// The panel at the left: what the devices do, what runs, waits and ended, and the way to everything else.
import { useEffect, useState } from 'react';
import { Alerts } from './alerts';
import { useBoardAction, useBoards } from '../data/tensorboards';
import { Devices } from './devices';
import { ago, bytes, metric } from '../ui/format';
import { useAction, useFeed, useNow, useQuery } from '../data/hooks';
import { useGo } from '../ui/navigation';
import { change } from '../data/registry_changes';
import { useSource } from '../data/source';
import { Button, Dot, LinkState, Problem, Progress, Section, Sparkline, Standing, left } from '../ui/states';
import { followed, type Trend } from '../data/trend';
import { isActive, isUnderWay, type Run } from '../data/types';

/** The TensorBoards, where there are any: each with its memory and age, and the buttons of its process. */
function Boards({ now }: { now: number }) {
  const boards = useBoards();
  const go = useGo();
  const { busy, error, press } = useBoardAction();
  if (boards.length === 0) return null;
  const running = boards.filter(board => board.state === 'running').length;
  return (
    <Section title="TensorBoards" aside={running ? `${running} running` : ''}>
      {boards.map(board => (
        <div key={board.id} className="imgcls-row" data-board={board.id} data-board-state={board.state}>
          <span className="imgcls-line">
            <button
              type="button"
              className="imgcls-run-link imgcls-clip"
              title={`Open TensorBoard of ${board.title}`}
              onClick={() => go({ view: 'board', id: board.id })}
            >
              {board.title}
            </button>
            <span className="imgcls-muted imgcls-num">
              {[
                board.state,
                board.memory != null && bytes(board.memory),
                board.started_at != null && ago(board.started_at, now),
              ]
                .filter(Boolean)
                .join(' · ')}
            </span>
          </span>
          {board.message && <span className="imgcls-note">{board.message}</span>}
          <span className="imgcls-board-buttons">
            {board.state === 'running' && (
              <button
                type="button"
                className="imgcls-plain"
                disabled={busy !== null}
                onClick={() => void press('stopBoard', board.id)}
              >
                stop
              </button>
            )}
            <button
              type="button"
              className="imgcls-plain"
              disabled={busy !== null}
              onClick={() => void press('restartBoard', board.id)}
            >
              {board.state === 'running' ? 'restart' : 'start'}
            </button>
            <button
              type="button"
              className="imgcls-plain"
              title="Take it off this list; the runs stay"
              disabled={busy !== null}
              onClick={() => void press('deleteBoard', board.id)}
            >
              forget
            </button>
          </span>
        </div>
      ))}
      {error && (
        <div className="imgcls-row">
          <Problem>{error}</Problem>
        </div>
      )}
    </Section>
  );
}

/** What stands at the right of a run's name. */
function aside(run: Run, now: number): string {
  if (run.state === 'queued') return run.priority > 0 ? 'next' : 'waiting';
  if (run.unreachable) return 'unreachable';
  if (isActive(run.state)) return run.state === 'running' ? left(run) : run.state;
  const age = ago(run.ended_at ?? run.updated_at, now);
  if (run.state === 'succeeded')
    return [run.best && metric(run.best.metric, run.best.value), age].filter(Boolean).join(' · ');
  return [run.state, run.resumable && 'resumable', age].filter(Boolean).join(' · ');
}

interface RowProps {
  run: Run;
  now: number;
  trend: Trend | undefined;
  current: boolean;
}

function RunRow({ run, now, trend, current }: RowProps) {
  const go = useGo();
  const live = isUnderWay(run.state);
  return (
    <button
      type="button"
      className="imgcls-row imgcls-run-row"
      data-run={run.id}
      aria-current={current}
      title={[run.name, run.state, run.failure?.replaceAll('_', ' '), run.message]
        .filter(Boolean)
        .join(' · ')}
      onClick={() => go({ view: 'run', id: run.id })}
    >
      <span className="imgcls-line">
        <span className="imgcls-name">
          <Dot state={run.state} />
          <b className="imgcls-clip">{run.name}</b>
          <span className="imgcls-sr">{run.state}</span>
        </span>
        <span className="imgcls-muted imgcls-num">{aside(run, now)}</span>
      </span>
      {live && <Progress run={run} />}
      {live && (
        <span className="imgcls-line">
          <span className="imgcls-note imgcls-clip">
            <Standing run={run} />
          </span>
          {trend && <Sparkline trend={trend} />}
        </span>
      )}
      {run.state === 'queued' && run.message && <span className="imgcls-note">{run.message}</span>}
    </button>
  );
}

/** The course of the figure that decides each live run's best, epoch by epoch, seen while the panel is open. */
function useTrends(runs: Run[]): Map<string, Trend> {
  const [trends, setTrends] = useState(() => new Map<string, Trend>());
  useEffect(() => {
    setTrends(was => {
      let next = was;
      for (const run of runs) {
        const trend = followed(was.get(run.id), run);
        if (!trend || trend === was.get(run.id)) continue;
        if (next === was) next = new Map(was);
        next.set(run.id, trend);
      }
      return next;
    });
  }, [runs]);
  return trends;
}

const byStart = (a: Run, b: Run) => (b.started_at ?? b.created_at) - (a.started_at ?? a.created_at);
const byQueue = (a: Run, b: Run) => b.priority - a.priority || a.created_at - b.created_at;
const byEnd = (a: Run, b: Run) => (b.ended_at ?? b.updated_at) - (a.ended_at ?? a.updated_at);

function Welcome() {
  const source = useSource();
  const go = useGo();
  const { busy, error, act } = useAction();
  const start = async () => {
    if (await act('demo', () => change(source, 'demo', {}))) go({ view: 'new' });
  };
  return (
    <div className="imgcls-row imgcls-welcome">
      <b>No runs yet</b>
      <p className="imgcls-note">
        Register a folder of images and start a run, or try it on the embedded demo: 1,797 handwritten digits,
        about a minute on a laptop.
      </p>
      <div>
        <Button busy={busy !== null} onClick={() => void start()}>
          {busy ? 'Writing the demo data…' : 'Try the demo'}
        </Button>
      </div>
      <Problem>{error}</Problem>
    </div>
  );
}

/** `current`: id of the run whose page is looked at. */
export function Sidebar({ current }: { current?: string }) {
  const go = useGo();
  const feed = useFeed();
  const all = [...feed.runs.values()];
  const running = all.filter(run => isUnderWay(run.state)).sort(byStart);
  const queued = all.filter(run => run.state === 'queued').sort(byQueue);
  const recent = all
    .filter(run => !isActive(run.state))
    .sort(byEnd)
    .slice(0, 12);
  const now = useNow(true, 30);
  const { data: info } = useQuery('info', {});
  const trends = useTrends(all);
  const total = Object.values(feed.counts).reduce((sum, n) => sum + (n ?? 0), 0);
  const row = (run: Run) => (
    <RunRow key={run.id} run={run} now={now} trend={trends.get(run.id)} current={run.id === current} />
  );
  return (
    <div className="imgcls-sidebar">
      <header className="imgcls-side-head">
        <h1 className="imgcls-clip">Image Lab</h1>
        <LinkState link={feed.link} />
        <Button primary onClick={() => go({ view: 'new' })}>
          + New run
        </Button>
      </header>
      <div className="imgcls-side-body">
        <Devices />
        <Alerts now={now} />
        <Section title="Running" aside={running.length}>
          {running.map(row)}
          {running.length === 0 && <p className="imgcls-row imgcls-muted">Nothing runs</p>}
        </Section>
        {queued.length > 0 && (
          <Section title="Queued" aside={queued.length}>
            {queued.map(row)}
          </Section>
        )}
        {recent.length > 0 && (
          <Section
            title="Recent"
            aside={
              <button
                type="button"
                className="imgcls-plain imgcls-side-link"
                onClick={() => go({ view: 'runs' })}
              >
                all {total} ›
              </button>
            }
          >
            {recent.map(row)}
          </Section>
        )}
        <Boards now={now} />
        {feed.loaded && total === 0 && <Welcome />}
        {feed.error && (
          <div className="imgcls-row">
            <Problem>{feed.error}</Problem>
            <div>
              <Button onClick={feed.refresh}>Try again</Button>
            </div>
          </div>
        )}
      </div>
      <footer className="imgcls-side-foot">
        <button type="button" className="imgcls-plain" onClick={() => go({ view: 'runs' })}>
          Runs
        </button>
        <button type="button" className="imgcls-plain" onClick={() => go({ view: 'library' })}>
          Library
        </button>
        <span className="imgcls-spacer" />
        <span className="imgcls-muted">{info ? `v${info.version}` : ''}</span>
      </footer>
    </div>
  );
}
