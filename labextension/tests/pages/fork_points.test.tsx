// Where a run is forked from: the checkpoint that a context menu is opened at, and the form that its item opens.
import { act } from 'react';
import { expect, it } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { Checkpoint, RunDetail } from '../../src/views/data/types';
import { forkPointsOf, nearestCheckpoint } from '../../src/views/pages/fork_points';
import { CheckpointsTab } from '../../src/views/pages/run_checkpoints';
import { Head } from '../../src/views/pages/run_head';
import { FakeSource, aRun, aRunDetail } from '../fake';
import { button, host, root, stage } from '../stage';

stage();

const saved = (step: number, epoch: number): Checkpoint => ({
  ...{ name: `a001-s${step}`, step, epoch, attempt: 1, links: [], size: 1, created_at: 1 },
});
const ITEMS = [saved(40, 4), saved(45, 4), saved(100, 10)];
const RUN = aRunDetail({
  ...{ epochs: 10, total_steps: 100, config: { epochs: 10, lr: 0.1 }, checkpoints: ITEMS },
});
const SCHEMA = {
  json_schema: {
    properties: {
      epochs: { type: 'integer', title: 'Epochs', group: 'optimisation', first: true, default: 10 },
    },
  },
  groups: { optimisation: 'Optimisation' },
  defaults: {},
};

async function show(view: React.ReactNode): Promise<FakeSource> {
  const source = new FakeSource({ schema: () => SCHEMA, datasets: () => [], fork: () => aRun() });
  await act(async () => root.render(<SourceProvider value={source}>{view}</SourceProvider>));
  return source;
}

const head = (run: RunDetail) => <Head run={run} connection="live" onDeleted={() => undefined} />;
const chosen = () => host.querySelector('select')?.value;

it('finds the kept checkpoint that is closest on an axis', () => {
  const at = (x: number, axis: 'step' | 'epoch') => nearestCheckpoint(ITEMS, x, item => item[axis])?.step;
  expect([at(0, 'step'), at(42, 'step'), at(43, 'step'), at(80, 'step')]).toEqual([40, 40, 45, 100]);
  expect([at(6, 'epoch'), at(8, 'epoch')]).toEqual([40, 100]);
  expect(nearestCheckpoint(ITEMS, 3, item => (item.step === 45 ? 7 : undefined))?.step).toBe(45);
  expect(nearestCheckpoint([], 3, item => item.step)).toBeUndefined();
});

it('offers the checkpoint of a row, by its epoch or within one by its step', async () => {
  const source = await show(<CheckpointsTab run={RUN} />);
  const rows = host.querySelectorAll('[data-menu=fork]');
  const texts = [...rows].map(row => {
    row.dispatchEvent(new MouseEvent('contextmenu', { bubbles: true }));
    return forkPointsOf(source).pointed()?.text;
  });
  expect(texts).toEqual(['epoch 4', 'step 45', 'epoch 10']);
});

it('offers none where the run cannot be forked', async () => {
  await show(<CheckpointsTab run={{ ...RUN, view_only: true }} />);
  expect(host.querySelector('[data-menu]')).toBeNull();
});

it('opens the form of the page of that run at the checkpoint, and again at another one', async () => {
  const source = await show(head(RUN));
  const points = forkPointsOf(source);
  const ask = (run: RunDetail, item: Checkpoint) =>
    act(async () => {
      points.point(run, item);
      points.ask();
    });
  await ask({ ...RUN, id: 'another' }, ITEMS[0]!);
  expect(chosen()).toBeUndefined();
  await ask(RUN, ITEMS[1]!);
  expect(chosen()).toBe('a001-s45');
  expect(document.activeElement).toBe(host.querySelector('select'));
  await ask(RUN, ITEMS[0]!);
  expect(chosen()).toBe('a001-s40');
});

it('trains longer from the newest checkpoint, with more epochs in focus', async () => {
  await show(head(RUN));
  await act(async () => button('Train longer…').click());
  expect(host.querySelector('[aria-label="Train this run longer"]')).not.toBeNull();
  const epochs = host.querySelector<HTMLInputElement>('[name=epochs]')!;
  expect([epochs.value, document.activeElement === epochs, chosen()]).toEqual(['20', true, 'a001-s100']);
  expect(button('Extend to 20 epochs').disabled).toBe(false);
  await act(async () => button('Train longer…').click());
  expect(host.querySelector('[name=epochs]')).toBeNull();
});
