// A sweep in a cell: where it stands, its trials as doors to their runs, and that a deleted one says so.
import { act } from 'react';
import { afterEach, expect, it, vi } from 'vitest';
import { bestFirst } from '../../src/views/live/sweep_matrix';
import { LiveSweep } from '../../src/views/live/live_sweep';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import { SourceError, SourceProvider } from '../../src/views/data/source';
import type { Replicate, RunDetail, Sweep, Trial } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';

stage();
afterEach(() => void vi.restoreAllMocks());

const trial = (number: number, lr: number, part: Partial<Trial>): Trial => ({
  number,
  params: { lr },
  identity: null,
  run_id: `t${number}`,
  run_name: null,
  state: 'succeeded',
  hole: false,
  value: null,
  deviation: null,
  curve: [],
  replicates: [],
  bracket: null,
  rung: null,
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
  replicates: 1,
  planned: 2,
  epochs_budget: null,
  epochs_done: 2,
  eta: null,
  brackets: [],
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
  return { went, source };
}

it('shows its best so far, and each trial opens as its run', async () => {
  const run = { ...aRun({ id: 's1', kind: 'sweep', name: 'sweep of lr', state: 'succeeded' }) } as RunDetail;
  const { went } = await show({ run: () => run, sweep: () => view });
  expect(host.textContent).toContain('2 of 2 trials');
  expect(host.textContent).toContain('75.0 %');
  const [first] = host.querySelectorAll<HTMLElement>('.imgcls-cell'); // the best stands first
  await act(async () => first!.click());
  expect(went).toEqual([{ view: 'run', id: 't1' }]);
});

it('names what is lowest and highest on each axis of the parallel coordinates', async () => {
  vi.spyOn(Element.prototype, 'getBoundingClientRect').mockReturnValue(new DOMRect(0, 0, 600, 190));
  const run = { ...aRun({ id: 's1', kind: 'sweep', state: 'succeeded' }) } as RunDetail;
  await show({ run: () => run, sweep: () => view });
  const tab = [...host.querySelectorAll<HTMLElement>('[role=tab]')].find(
    each => each.textContent === 'Plots',
  )!;
  await act(async () => tab.click());
  const ends = [...host.querySelectorAll('.imgcls-parallel-end')].map(each => each.textContent);
  expect(ends).toEqual(['0.1', '0.2', '50.0 %', '75.0 %']);
});

const replicate = (seed: number, part: Partial<Replicate>): Replicate => ({
  ...{ seed, run_id: `r${seed}`, run_name: null, state: 'succeeded', value: null, message: null },
  ...{ device: null, started_at: null, ended_at: null, ran: null },
  ...part,
});

it('a trial with replicates is a mean ± deviation, and unfolds to its runs', async () => {
  const whole = [0.7, 0.8].map((value, seed) => replicate(seed, { value }));
  const part = [replicate(0, { value: 0.9 }), replicate(1, { run_id: null, state: 'waiting' })];
  const sweep: Sweep = {
    ...view,
    replicates: 2,
    trials: [
      trial(0, 0.1, { value: 0.75, deviation: 0.0707, replicates: whole }),
      trial(1, 0.2, { state: 'running', replicates: part }),
    ],
    best: 0,
  };
  const run = { ...aRun({ id: 's1', kind: 'sweep', state: 'running' }) } as RunDetail;
  const { went } = await show({ run: () => run, sweep: () => sweep });
  expect(host.querySelector('.imgcls-sweep-standing')!.textContent).toContain('2 seeds each');
  expect(host.querySelector('.imgcls-sweep-standing')!.textContent).toContain('75.0 ± 7.1 %');
  const [best, other] = host.querySelectorAll<HTMLElement>('[data-trial]');
  expect(best!.textContent).toContain('75.0 ± 7.1 %');
  expect(other!.textContent).toContain('1 of 2');
  expect(best!.getAttribute('aria-expanded')).toBe('false');
  await act(async () => best!.click());
  expect(went).toEqual([]);
  const seeds = [...host.querySelectorAll<HTMLElement>('[data-seed]')];
  expect(seeds.map(each => each.textContent)).toEqual(['seed 0 70.0 %', 'seed 1 80.0 %']);
  await act(async () => seeds[1]!.click());
  expect(went).toEqual([{ view: 'run', id: 'r1' }]);
  await act(async () => best!.click());
  expect(host.querySelector('[data-seed]')).toBeNull();
});

const point = (epoch: number, value: number) => ({ epoch, value });
const halving: Sweep = {
  ...view,
  strategy: 'halving',
  eta: 3,
  planned: 3,
  epochs_budget: 5,
  brackets: [{ rungs: [{ epochs: 1, trials: 3 }, { epochs: 3, trials: 1 }] }], // prettier-ignore
  trials: [
    trial(0, 0.1, {
      ...{ state: 'pruned', bracket: 0, rung: 1, curve: [point(1, 0.5)] },
      message: 'Left at rung 1: rank 3 of 3.',
    }),
    trial(1, 0.2, {
      bracket: 0,
      rung: 2,
      value: 0.75,
      curve: [point(1, 0.6), point(2, 0.75), point(3, 0.7)],
    }),
    trial(2, 0.3, { state: 'waiting', bracket: 0, rung: 1, curve: [point(1, 0.55)] }),
  ],
};

it('shows who went on at its rungs, and who was left or waits', async () => {
  const run = { ...aRun({ id: 's1', kind: 'sweep', name: 'sweep of lr', state: 'running' }) } as RunDetail;
  await show({ run: () => run, sweep: () => halving });
  expect(host.textContent).toContain('The best third of each rung goes on');
  expect(host.textContent).toContain('1 left at a rung');
  const ways = [...host.querySelectorAll('.imgcls-way')];
  expect(ways.map(way => way.getAttribute('data-way'))).toEqual(['left', 'waits', 'best']);
  expect(ways.map(way => way.querySelectorAll('circle').length)).toEqual([1, 1, 2]);
  expect(ways[2]!.querySelector('title')!.textContent).toBe('trial 1 · 60.0 % · 75.0 %'); // the best until the rung
  expect(host.querySelector('[data-trial="0"]')!.textContent).toContain('left at rung 1');
  expect(host.querySelector('[data-trial="2"]')!.textContent).toContain('waits at rung 1');
});

it('orders trials without a value by their rung, and those of one rung by how good they were', () => {
  const left = (number: number, value: number, rung = 1) =>
    trial(number, 0.1, { state: 'pruned', bracket: 0, rung, curve: [point(1, 0.9), point(2, value)] });
  const waits = trial(5, 0.1, { state: 'waiting' });
  const best = trial(6, 0.1, { value: 0.2 });
  const trials = [left(0, 0.5), waits, left(1, 0.6), left(2, 0.1, 2), best, left(3, 0.7)];
  const numbers = (part: Partial<Sweep>) =>
    bestFirst({ ...halving, trials, ...part }, new Map([[6, 0]])).map(({ number }) => number);
  expect(numbers({})).toEqual([6, 2, 3, 1, 0, 5]);
  expect(numbers({ higher_is_better: false })).toEqual([6, 2, 0, 1, 3, 5]);
});

it('asks again when a trial, or a seed of one, is deleted of which it heard nothing before', async () => {
  const run = { ...aRun({ id: 's1', kind: 'sweep', state: 'succeeded' }) } as RunDetail;
  const seeds = [replicate(0, { value: 0.5 })];
  const sweep = { ...view, trials: [...view.trials, trial(2, 0.3, { run_id: null, replicates: seeds })] };
  const { source } = await show({ run: () => run, sweep: () => sweep });
  const times = () => source.asked.filter(([name]) => name === 'sweep').length;
  const remove = (id: string) =>
    act(async () => source.on('runs').push({ kind: 'runs', changed: [], deleted: [id] } as never));
  const first = times();
  expect(first).toBe(1);
  await remove('another');
  expect(times()).toBe(first);
  await remove('t1');
  expect(times()).toBe(first + 1);
  await remove('r0');
  expect(times()).toBe(first + 2);
});

it('says that it was deleted', async () => {
  await show({
    run: () => {
      throw new SourceError('no such run', 404);
    },
  });
  expect(host.textContent).toContain('was deleted');
});
