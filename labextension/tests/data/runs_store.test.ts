import { expect, it, vi } from 'vitest';
import { RunsStore } from '../../src/views/data/runs_store';
import type { Run } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';

it('asks again for the runs after a gap, and tells of each change of state once', async () => {
  vi.useFakeTimers();
  let state: Run['state'] = 'running';
  const source = new FakeSource({
    runs: (params: { states: string[] }) => {
      const run = aRun({ state, revision: state === 'running' ? 1 : 2 });
      return {
        items: params.states.includes(state) ? [run] : [],
        total: 1,
        counts: { [state]: 1 },
        owners: ['ada'],
      };
    },
  });
  const feed = new RunsStore(source);
  const seen: string[] = [];
  const stop = feed.listen(
    () => undefined,
    (before, now) => before && before.state !== now.state && seen.push(`${before.state} ${now.state}`),
  );
  await vi.advanceTimersByTimeAsync(1);
  state = 'succeeded';
  source.on('runs').connection('gap');
  await vi.advanceTimersByTimeAsync(1000);
  expect(seen).toEqual(['running succeeded']);
  expect(feed.current().counts).toEqual({ succeeded: 1 });
  stop();
  vi.useRealTimers();
});
