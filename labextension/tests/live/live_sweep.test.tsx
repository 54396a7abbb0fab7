// A sweep in a cell: where it stands, its trials as doors to their runs, and that a deleted one says so.
import { act } from 'react';
import { expect, it } from 'vitest';
import { LiveSweep } from '../../src/views/live/live_sweep';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import { SourceError, SourceProvider } from '../../src/views/data/source';
import type { RunDetail, Sweep, Trial } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';

stage();

const trial = (number: number, lr: number, part: Partial<Trial>): Trial => ({
  number,
  params: { lr },
  identity: null,
  run_id: `t${number}`,
  run_name: null,
  state: 'succeeded',
  hole: false,
  value: null,
  curve: [],
  message: null,
  device: null,
  started_at: null,
  ended_at: null,
  ran: null,
  ...part,
});

const view: Sweep = {
  run_id: 's1',
  name: 'sweep of lr',
  strategy: 'random',
  pruner: 'none',
  metric: 'metric/accuracy',
  higher_is_better: true,
  notebook: null,
  space: { lr: { values: [0.1, 0.2] } },
  titles: { lr: 'Learning rate' },
  planned: 2,
  epochs_budget: null,
  epochs_done: 2,
  trials: [trial(0, 0.1, { value: 0.5 }), trial(1, 0.2, { value: 0.75 })],
  best: 1,
  importance: {},
  holes: 0,
};

async function show(answers: Record<string, () => unknown>) {
  const went: Place[] = [];
  const source = new FakeSource({
    runs: () => ({ items: [], total: 0, counts: {}, owners: [] }),
    ...answers,
  });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <NavigationProvider value={place => went.push(place)}>
          <LiveSweep id="s1" />
        </NavigationProvider>
      </SourceProvider>,
    ),
  );
  return went;
}

it('shows its best so far, and each trial opens as its run', async () => {
  const run = { ...aRun({ id: 's1', kind: 'sweep', name: 'sweep of lr', state: 'succeeded' }) } as RunDetail;
  const went = await show({ run: () => run, sweep: () => view });
  expect(host.textContent).toContain('2 of 2 trials');
  expect(host.textContent).toContain('75.0 %');
  const [first] = host.querySelectorAll<HTMLElement>('.imgcls-cell'); // the best stands first
  await act(async () => first!.click());
  expect(went).toEqual([{ view: 'run', id: 't1' }]);
});

it('says that it was deleted', async () => {
  await show({
    run: () => {
      throw new SourceError('no such run', 404);
    },
  });
  expect(host.textContent).toContain('was deleted');
});
