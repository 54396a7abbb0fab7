// A sweep, live, in a notebook cell: how it stands, its matrix and its plots. A trial opens as a run.
import { useState } from 'react';
import { useRun } from '../data/use_runs';
import { LiveHead, Message } from './live_run';
import { useNavigate } from '../ui/navigation';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import { Progress } from '../ui/run_state';
import { SweepTab } from './sweep_results';
import { Tabs } from '../ui/tabs';
import { isActive } from '../data/types';
import './live_sweep.css';

const TABS = ['Trials', 'Plots'] as const;

export function LiveSweep({ id }: { id: string }) {
  const { run, error, gone, connection } = useRun(id);
  const [tab, setTab] = useState<(typeof TABS)[number]>('Trials');
  const navigate = useNavigate();
  if (gone) return <p className="imgcls-muted">This sweep is not there any more: it was deleted.</p>;
  if (!run) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the sweep…</p>;
  return (
    <section className="imgcls-live" data-run={run.id} data-run-state={run.state}>
      <LiveHead run={run} connection={connection} what="sweep">
        <Button onClick={() => navigate({ view: 'run', id })}>Open</Button>
      </LiveHead>
      {isActive(run.state) && <Progress run={run} />}
      <Message run={run} />
      <Tabs
        label="What to see of the sweep"
        names={TABS}
        open={tab}
        onOpen={setTab}
        panelClass="imgcls-live-tab"
      >
        <SweepTab run={run} plots={tab === 'Plots'} />
      </Tabs>
    </section>
  );
}
