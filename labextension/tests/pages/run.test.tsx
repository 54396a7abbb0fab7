// The page of a run: its tabs by keys, what its scan left out, and that a deleted run says so.
import { act } from 'react';
import { expect, it, vi } from 'vitest';
import { RunPage } from '../../src/views/pages/run';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import { SourceError, SourceProvider } from '../../src/views/data/source';
import type { EpochReport, RunDetail } from '../../src/views/data/types';
import { FakeSource, aRunDetail } from '../fake';
import { button, host, root, stage } from '../stage';

stage();

async function show(answer: () => RunDetail, onClose = () => undefined as void, report?: EpochReport) {
  const source = new FakeSource({
    run: answer,
    runs: () => ({ items: [], total: 0, counts: {}, owners: [] }),
    datasets: () => [],
    schema: () => ({
      json_schema: { properties: {} },
      groups: {},
      start: {},
      start_from: null,
      start_project_id: null,
      defaults: {},
    }),
    series: () => ({ series: [], cursors: {} }),
    ...(report && { report: () => report }),
  });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <RunPage id="r1" onClose={onClose} />
      </SourceProvider>,
    ),
  );
  return source;
}

it('goes from tab to tab by the arrows, Home and End', async () => {
  await show(() => aRunDetail());
  const tabs = [...host.querySelectorAll<HTMLElement>('[role=tab]')];
  const open = () => host.querySelector<HTMLElement>('[role=tab][aria-selected=true]')!;
  const press = (key: string) =>
    act(async () => void open().dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })));
  const inOrder = () => tabs.flatMap((tab, i) => (tab.tabIndex === 0 ? [i] : []));
  const last = tabs.length - 1;
  expect(inOrder()).toEqual([0]);
  await press('ArrowLeft');
  expect([open().textContent, document.activeElement]).toEqual(['Log', tabs[last]]);
  await press('ArrowRight');
  expect(open().textContent).toBe('Curves');
  await press('End');
  await press('ArrowLeft');
  expect(open().textContent).toBe('History');
  expect(inOrder()).toEqual([last - 1]);
  const panel = host.querySelector('[role=tabpanel]')!;
  expect(panel.getAttribute('aria-labelledby')).toBe(open().id);
  expect(open().getAttribute('aria-controls')).toBe(panel.id);
});

it('says which images its scan could not read, and why', async () => {
  const quarantined = { 'train/a.png': '“a.png” is no image.', 'train/b.png': '“b.png” is cut off.' };
  await show(() => aRunDetail({ manifest: { data: { quarantined } } }));
  expect(host.textContent).toContain('2 images could not be read and are left out');
  expect(host.querySelector('details')!.textContent).toContain('“b.png” is cut off.');
});

it('warns of what its scan found across the splits, and leads to the problems of the data set', async () => {
  const went: Place[] = [];
  const data = { duplicates: { exact: 3, near: 1, across_classes: 0 }, shared_groups: 0 };
  const source = await show(() => aRunDetail({ manifest: { data } }));
  source.answers.datasets = () => [{ id: 4, name: 'digits', root: '/data/digits' }];
  await act(async () => root.render(null));
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <NavigationProvider value={place => went.push(place)}>
          <RunPage id="r1" />
        </NavigationProvider>
      </SourceProvider>,
    ),
  );
  const note = host.querySelector('[role=note]')!;
  expect(note.textContent).toContain('3 images of validation or test are copies of training images');
  expect(note.textContent).toContain('1 image of validation or test looks like training images');
  expect(note.textContent).not.toContain('two classes');
  await act(async () => note.querySelector('button')!.click());
  expect(went).toEqual([{ view: 'dataset', id: 4, tab: 'Problems' }]);
});

it('labels what is of the best epoch and what of the last', async () => {
  const run = () =>
    aRunDetail({
      epoch: 3,
      best: { metric: 'accuracy', value: 0.9, epoch: 2 },
      latest: { 'loss/val': 0.5, 'metric/macro_f1': 0.8 },
    });
  const figures = () => host.querySelector('.imgcls-metrics')!.textContent;
  await show(run);
  expect(figures()).toContain('macro F180.0 %epoch 3, the last');
  await act(async () => root.render(null));
  const values = { 'loss/val': 0.25, 'metric/macro_f1': 0.85 };
  const report = { epoch: 2, step: 20, split: 'val', images: 10, values, classes: [], confusion: null };
  const source = await show(run, undefined, report);
  expect(source.asked).toContainEqual(['report', { id: 'r1', epoch: 2 }]);
  expect(figures()).toContain('validation loss0.250epoch 2 · last 0.500');
  expect(figures()).toContain('macro F185.0 %epoch 2 · last 80.0 %');
});

it('says that its run was deleted, and offers to close', async () => {
  const close = vi.fn();
  const source = await show(() => aRunDetail(), close);
  await act(async () => source.on('runs').push({ kind: 'runs', changed: [], deleted: ['r1'] }));
  expect(host.textContent).toContain('The run “a run” was deleted.');
  const button = [...host.querySelectorAll('button')].find(item => item.textContent === 'Close this tab')!;
  act(() => button.click());
  expect(close).toHaveBeenCalledOnce();
});

it('says of a run that is not there that it was deleted, and of an error what it was', async () => {
  await show(() => {
    throw new SourceError('There is no run “r1”.', 404);
  });
  expect(host.textContent).toContain('not there any more');
  await act(async () => root.render(null));
  await show(() => {
    throw new SourceError('The server has a headache.', 500);
  });
  expect(host.textContent).toContain('The server has a headache.');
});

it('resumes with other settings, and sends those alone that were changed', async () => {
  const config = { lr: 0.1, num_workers: null, cache: 'auto', keep_last: 2 };
  const source = await show(() => aRunDetail({ state: 'stopped', resumable: true, kind: 'train', config }));
  const properties = {
    lr: { type: 'number', title: 'Learning rate' },
    num_workers: {
      anyOf: [{ type: 'integer' }, { type: 'null' }],
      title: 'Loader processes',
      at_resume: true,
    },
    keep_last: { type: 'integer', title: 'Last checkpoints', at_resume: true },
  };
  source.answers.schema = () => ({
    json_schema: { properties },
    groups: {},
    start: {},
    start_from: null,
    defaults: {},
  });
  await act(async () => button('Resume with…').click());
  const form = host.querySelector('[aria-label="Resume with other settings"]')!;
  expect([...form.querySelectorAll('label')].map(label => label.textContent)).toEqual([
    'Loader processes',
    'Last checkpoints',
  ]);
  await act(async () => {
    const input = form.querySelector<HTMLInputElement>('[name=num_workers]')!;
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(input, '0');
    input.dispatchEvent(new Event('input', { bubbles: true }));
  });
  await act(async () => button('Resume with 1 changed').click());
  expect(source.asked).toContainEqual(['resume', { id: 'r1', config: { num_workers: 0 } }]);
});

it('says that the figures stand still while no executor looks after the run', async () => {
  const executor = {
    id: 'e',
    host: 'here',
    home: aRunDetail().home,
    pid: 7,
    version: '1',
    state: 'alive',
    started_at: 1,
    heartbeat_at: 2,
  };
  const message = 'The executor of here (process 7) is suspended.';
  const shown = async (state: string) => {
    const source = await show(() => aRunDetail({ state: 'running', running_since: 1001 }));
    source.answers.devices = () => ({
      executors: [{ ...executor, state }],
      devices: [],
      message,
      warm_memory: null,
    });
    await act(async () => root.render(<></>));
    await act(async () =>
      root.render(
        <SourceProvider value={source}>
          <RunPage id="r1" onClose={() => undefined} />
        </SourceProvider>,
      ),
    );
    return host.textContent;
  };
  expect(await shown('alive')).not.toContain('stand still');
  expect(await shown('suspended')).toContain(`the figures stand still, the run may go on. ${message}`);
});

it('says what the curves wait for, and of a run that has ended why there are none', async () => {
  const drawings = async (part: Partial<RunDetail>) => {
    await act(async () => root.render(null));
    await show(() => aRunDetail({ step: 0, epoch: 0, updated_at: Date.now() / 1000 - 6, ...part }));
    return [...host.querySelectorAll('.imgcls-plot-empty')].map(each => each.textContent);
  };
  expect(await drawings({ kind: 'notebook', state: 'starting', phase: 'starting the kernel' })).toEqual([
    'starting: starting the kernel, 6 sThe curve begins with the first training in a cell.',
    'After the first validation',
  ]);
  expect((await drawings({ kind: 'notebook', state: 'running', phase: 'cell 2 of 5' }))[0]).toBe(
    'cell 2 of 5, 6 sThe curve begins with the first training in a cell.',
  );
  expect((await drawings({ state: 'running', phase: 'loading the model' }))[0]).toContain('the first step');
  expect((await drawings({ state: 'queued' }))[0]).toBe('It waits in the queue');
  expect(await drawings({ kind: 'notebook', state: 'succeeded' })).toEqual([
    'No cell of the notebook trained in this run',
    'It was not validated',
  ]);
  expect((await drawings({ state: 'failed' }))[0]).toBe('It ended before its first step');
});
