// Trying how fast a config trains, where no run like it tells: a task in the queue, with progress and a way to stop it.
import { useEffect, useRef, useState } from 'react';
import type { TrainConfig } from '../data/asked';
import { useSource } from '../data/source';
import { useAction, useQuery } from '../data/use_query';
import { usePoll } from '../data/use_poll';
import { isActive } from '../data/types';
import { Button } from '../ui/button';
import { duration } from '../ui/format';
import { Problem } from '../ui/messages';

/** `onDone`: it has ended, so that the server may know more. */
export function SpeedTrial({ config, onDone }: { config: TrainConfig; onDone: () => void }) {
  const source = useSource();
  const { busy, error, act } = useAction();
  const [id, setId] = useState<string | null>(null);
  const { data: run, reload } = useQuery('run', id === null ? null : { id });
  const active = id !== null && (run === undefined || isActive(run.state));
  usePoll(reload, 700, active);
  const told = useRef<string | null>(null);
  useEffect(() => {
    if (id === null || run?.id !== id || active || told.current === id) return;
    told.current = id;
    onDone();
  }, [id, run, active, onDone]);
  if (active)
    return (
      <>
        <span role="status">
          {run?.state === 'running'
            ? `${run.phase ?? 'starting'}${run.seconds_left ? ` · ${duration(run.seconds_left)} left` : ''}`
            : 'waiting for a device…'}
        </span>{' '}
        <Button onClick={() => void act('stop', () => source.command('stop', { id: id! }))}>Cancel</Button>
        <Problem>{error}</Problem>
      </>
    );
  return (
    <>
      no run like it was measured ·{' '}
      <Button
        busy={busy !== null}
        title="Train 20 seconds on a free device, on images of noise; nothing is kept"
        onClick={() => void act('try', async () => setId((await source.command('trial', { config })).id))}
      >
        Try 20 s
      </Button>
      <Problem>{error ?? (run?.state === 'failed' ? run.message : null)}</Problem>
    </>
  );
}
