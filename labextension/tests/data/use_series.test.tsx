import { act } from 'react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import { useSeries } from '../../src/views/data/use_series';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

const IDS = ['r1'];
const TAGS = ['loss/train'];
let drawn = 0;

const series = (step: number[]) => ({
  run_id: 'r1',
  tag: 'loss/train',
  step,
  epoch: step,
  time: step,
  value: step,
  thinned: false,
});

function Curve() {
  const { store } = useSeries(IDS, TAGS, 'step', true);
  drawn++;
  return <p>{store.get('r1', 'loss/train')?.step.join()}</p>;
}

it('draws a live curve a few times a second, whatever comes in, and loses no point', async () => {
  const source = new FakeSource({ series: () => ({ series: [series([1, 2])], cursors: {} }) });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <Curve />
      </SourceProvider>,
    ),
  );
  expect(host.textContent).toBe('1,2');
  const before = drawn;
  const topic = source.on('metrics');
  for (let step = 3; step < 13; step++) {
    await act(async () =>
      topic.push({ kind: 'metrics', series: [series([step])], cursors: {}, superseded: {} } as never),
    );
    await act(async () => vi.advanceTimersByTime(100));
  }
  await act(async () => vi.advanceTimersByTime(250));
  expect(host.textContent).toBe('1,2,3,4,5,6,7,8,9,10,11,12');
  expect(drawn - before).toBeGreaterThanOrEqual(3);
  expect(drawn - before).toBeLessThanOrEqual(6);
});
