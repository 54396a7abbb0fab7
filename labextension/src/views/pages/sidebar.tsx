// The panel at the left: what the devices do, what runs, waits and ended, and the way to everything else.
import { useEffect, useState } from 'react';
import { mutate } from '../data/mutate';
import type { RunsSnapshot } from '../data/runs_store';
import { useSource } from '../data/source';
import { followed, type Trend } from '../data/trend';
import { isActive, isUnderWay, type Run } from '../data/types';
import { useAction, useQuery } from '../data/use_query';
import { useRuns } from '../data/use_runs';
import { Button } from '../ui/button';
import { ConnectionNotice, Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { useNow } from '../ui/use_now';
import { Alerts } from './alerts';
import { Devices } from './devices';
import { RecorderLine, RecorderSwitch } from './recorder_line';
import { RunRow } from './run_row';
import { Section } from './sidebar_section';
import { TensorBoards } from './sidebar_tensorboards';
import './sidebar.css';

const RECENT = 12;

/** The metric that decides each live run's best, epoch by epoch, as far as the panel has seen it. */
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

const totalOf = (counts: RunsSnapshot['counts']): number =>
  Object.values(counts).reduce((sum, n) => sum + (n ?? 0), 0);
const byStart = (a: Run, b: Run) => (b.started_at ?? b.created_at) - (a.started_at ?? a.created_at);
const byQueue = (a: Run, b: Run) => b.priority - a.priority || a.created_at - b.created_at;
const byEnd = (a: Run, b: Run) => (b.ended_at ?? b.updated_at) - (a.ended_at ?? a.updated_at);

function Welcome() {
  const source = useSource();
  const navigate = useNavigate();
  const { busy, error, act } = useAction();
  const start = async () => {
    if (await act('demo', () => mutate(source, 'demo', {}))) navigate({ view: 'new-run' });
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

/** The runs that run and wait, and those that ended last. `current`: id of the one whose page is in front. */
function Runs({ current, now }: { current: string | undefined; now: number }) {
  const navigate = useNavigate();
  const { runs, counts, owners } = useRuns();
  const isTrial = (run: Run) => run.parent_id !== null && runs.get(run.parent_id)?.kind === 'sweep';
  const all = [...runs.values()].filter(run => !isTrial(run)); // a sweep is one row
  const trends = useTrends(all);
  const running = all.filter(run => isUnderWay(run.state)).sort(byStart);
  const queued = all.filter(run => run.state === 'queued').sort(byQueue);
  const ended = all.filter(run => !isActive(run.state)).sort(byEnd);
  const row = (run: Run) => (
    <RunRow
      key={run.id}
      run={run}
      now={now}
      trend={trends.get(run.id)}
      current={run.id === current}
      owner={owners.length > 1 ? run.owner : ''}
    />
  );
  const link = (
    <button
      type="button"
      className="imgcls-plain imgcls-side-link"
      onClick={() => navigate({ view: 'runs' })}
    >
      all {totalOf(counts)} ›
    </button>
  );
  return (
    <>
      <Section title="Running" aside={running.length}>
        {running.map(row)}
        {running.length === 0 && <p className="imgcls-row imgcls-muted">Nothing runs</p>}
      </Section>
      {queued.length > 0 && (
        <Section title="Queued" aside={queued.length}>
          {queued.map(row)}
        </Section>
      )}
      {ended.length > 0 && (
        <Section title="Recent" aside={link}>
          {ended.slice(0, RECENT).map(row)}
        </Section>
      )}
    </>
  );
}

function Foot() {
  const navigate = useNavigate();
  const { data: info } = useQuery('info', {});
  return (
    <footer className="imgcls-side-foot">
      <button type="button" className="imgcls-plain" onClick={() => navigate({ view: 'runs' })}>
        Runs
      </button>
      <button type="button" className="imgcls-plain" onClick={() => navigate({ view: 'devices' })}>
        Devices
      </button>
      <button type="button" className="imgcls-plain" onClick={() => navigate({ view: 'registries' })}>
        Registries
      </button>
      <span className="imgcls-spacer" />
      <span className="imgcls-muted">{info ? `v${info.version}` : ''}</span>
    </footer>
  );
}

/** `current`: id of the run whose page is in front. */
export function Sidebar({ current }: { current?: string }) {
  const navigate = useNavigate();
  const { connection, counts, loaded, error, refresh } = useRuns();
  const now = useNow(true, 30);
  return (
    <section className="imgcls-sidebar" aria-label="Image Lab">
      <header className="imgcls-side-head">
        <h1 className="imgcls-clip">Image Lab</h1>
        <ConnectionNotice connection={connection} />
        <RecorderSwitch />
        <Button primary onClick={() => navigate({ view: 'new-run' })}>
          + New run
        </Button>
      </header>
      <RecorderLine />
      <div className="imgcls-side-body">
        <Devices />
        <Alerts now={now} />
        <Runs current={current} now={now} />
        <TensorBoards now={now} />
        {loaded && totalOf(counts) === 0 && <Welcome />}
        {error && (
          <div className="imgcls-row">
            <Problem>{error}</Problem>
            <div>
              <Button onClick={refresh}>Try again</Button>
            </div>
          </div>
        )}
      </div>
      <Foot />
    </section>
  );
}
