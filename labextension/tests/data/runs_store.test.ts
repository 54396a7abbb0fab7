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

it('tells of steps four times a second at most, and of a change of state at once', async () => {
  vi.useFakeTimers();
  const reply = { items: [aRun({ revision: 1, step: 0 })], total: 1, counts: { running: 1 }, owners: [] };
  const source = new FakeSource({ runs: () => reply });
  const feed = new RunsStore(source);
  const steps: number[] = [];
  const stop = feed.listen(() => steps.push(feed.current().runs.get('r1')?.step ?? -1));
  await vi.advanceTimersByTimeAsync(1000);
  steps.length = 0;
  const push = (revision: number, part: Partial<Run> = {}) =>
    source
      .on('runs')
      .push({ kind: 'runs', changed: [aRun({ revision, step: revision, ...part })], deleted: [] } as never);
  for (let revision = 10; revision < 20; revision++) {
    push(revision);
    await vi.advanceTimersByTimeAsync(50);
  }
  expect(steps).toEqual([10, 14, 19]);
  await vi.advanceTimersByTimeAsync(300);
  expect(steps).toEqual([10, 14, 19]);
  push(30);
  push(31, { state: 'stopping' });
  expect(steps.slice(3)).toEqual([30, 31]);
  stop();
  vi.useRealTimers();
});
