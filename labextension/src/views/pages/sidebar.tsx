// The panel at the left: what the devices do, what runs, waits and ended, and the way to everything else.
import { useEffect, useState } from 'react';
import { mutate } from '../data/mutate';
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

/** `current`: id of the run whose page is looked at. */
export function Sidebar({ current }: { current?: string }) {
  const navigate = useNavigate();
  const store = useRuns();
  const all = [...store.runs.values()];
  const running = all.filter(run => isUnderWay(run.state)).sort(byStart);
  const queued = all.filter(run => run.state === 'queued').sort(byQueue);
  const recent = all
    .filter(run => !isActive(run.state))
    .sort(byEnd)
    .slice(0, RECENT);
  const now = useNow(true, 30);
  const { data: info } = useQuery('info', {});
  const trends = useTrends(all);
  const total = Object.values(store.counts).reduce((sum, n) => sum + (n ?? 0), 0);
  const row = (run: Run) => (
    <RunRow key={run.id} run={run} now={now} trend={trends.get(run.id)} current={run.id === current} />
  );
  return (
    <div className="imgcls-sidebar">
      <header className="imgcls-side-head">
        <h1 className="imgcls-clip">Image Lab</h1>
        <ConnectionNotice connection={store.connection} />
        <Button primary onClick={() => navigate({ view: 'new-run' })}>
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
                onClick={() => navigate({ view: 'runs' })}
              >
                all {total} ›
              </button>
            }
          >
            {recent.map(row)}
          </Section>
        )}
        <TensorBoards now={now} />
        {store.loaded && total === 0 && <Welcome />}
        {store.error && (
          <div className="imgcls-row">
            <Problem>{store.error}</Problem>
            <div>
              <Button onClick={store.refresh}>Try again</Button>
            </div>
          </div>
        )}
      </div>
      <footer className="imgcls-side-foot">
        <button type="button" className="imgcls-plain" onClick={() => navigate({ view: 'runs' })}>
          Runs
        </button>
        <button type="button" className="imgcls-plain" onClick={() => navigate({ view: 'registries' })}>
          Registries
        </button>
        <span className="imgcls-spacer" />
        <span className="imgcls-muted">{info ? `v${info.version}` : ''}</span>
      </footer>
    </div>
  );
}
