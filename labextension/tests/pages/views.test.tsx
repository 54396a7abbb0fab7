import { act } from 'react';
import { expect, it, vi } from 'vitest';
import { differences, distinct } from '../../src/views/pages/compare';
import { Confusion, ClassTable, Evaluation } from '../../src/views/pages/evaluation';
import { RunsFeed } from '../../src/views/data/runs_store';
import { ago, bytes, duration, figure, metric, ranFor, ticks, usage } from '../../src/views/ui/format';
import { NewRun } from '../../src/views/forms/new_run';
import { readable } from '../../src/views/pages/run';
import { Head } from '../../src/views/pages/run_head';
import { Sidebar } from '../../src/views/pages/sidebar';
import { SourceProvider } from '../../src/views/data/source';
import type { EpochReport, RunDetail, Run } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';

const EVIL = '<img src=x onerror="window.hacked = true">';
stage();

const sourceOf = (...runs: Run[]) =>
  new FakeSource({
    runs: (params: { states?: string[] }) => {
      const items = runs.filter(run => params.states?.includes(run.state));
      const counts: Record<string, number> = {};
      for (const run of runs) counts[run.state] = (counts[run.state] ?? 0) + 1;
      return { items, total: items.length, counts };
    },
    devices: () => ({ executors: [], devices: [], message: 'No executor runs.' }),
    info: () => ({ version: '1.2.3', datasets_dir: '/d', roots: [], home: '/h', demo_ready: false }),
  });

async function show(source: FakeSource) {
  await act(async () => {
    root.render(
      <SourceProvider value={source}>
        <Sidebar />
      </SourceProvider>,
    );
  });
}

it('shows a class name that holds HTML as text', () => {
  const report: EpochReport = {
    epoch: 1,
    step: 1,
    split: 'val',
    images: 2,
    values: {},
    classes: [
      { name: EVIL, images: 1, precision: 1, recall: 1, f1: 1 },
      { name: 'b', images: 1, precision: 0, recall: 0, f1: 0 },
    ],
    confusion: [
      [1, 0],
      [1, 0],
    ],
  };
  act(() =>
    root.render(
      <>
        <ClassTable report={report} />
        <Confusion report={report} />
      </>,
    ),
  );
  expect(host.querySelector('img')).toBeNull();
  expect(host.textContent).toContain(EVIL);
});

it('shows the best model on test/ where the run was tested, and what was left out', async () => {
  const report = (split: string, left_out: Record<string, string> = {}, epoch = 2): EpochReport => ({
    epoch,
    step: 1,
    split,
    images: 40,
    values: { 'metric/top3': 0.5, 'metric/calibration_error': 0.125, [`loss/${split}`]: 0.25 },
    classes: [],
    confusion: null,
    left_out,
  });
  const source = new FakeSource({
    report: (params: { split?: string; epoch?: number }) =>
      params.split === 'test'
        ? report('test', { 'test/a.png': 'a.png is no image.' })
        : report('val', {}, params.epoch),
  });
  const draw = async (run: Run) =>
    act(async () => {
      root.render(
        <SourceProvider value={source}>
          <Evaluation run={run} />
        </SourceProvider>,
      );
      await Promise.resolve();
    });
  const best = { metric: 'accuracy', value: 0.5, epoch: 2 };
  await draw(aRun({ latest: { 'metric/accuracy': 0.5 }, best, epoch: 3 }));
  expect(host.querySelector('select')!.selectedOptions[0]!.textContent).toBe('the best, epoch 2, on val/');
  expect(host.textContent).toContain('Per class · val/, epoch 2, the best (checkpoint “best”)');
  expect(host.textContent).toContain('epoch 3, the last, on val/');
  expect(host.textContent).toContain('top-3 accuracy 50.0 %');
  expect(host.textContent).toContain('calibration error 12.5 %');
  expect(host.textContent).not.toContain('on test/');
  await draw(aRun({ latest: { 'metric/accuracy': 0.5, 'test/accuracy': 0.6 }, best, epoch: 3 }));
  const select = host.querySelector('select')!;
  await act(async () => {
    select.value = 'test';
    select.dispatchEvent(new Event('change', { bubbles: true }));
    await Promise.resolve();
  });
  expect(host.textContent).toContain('40 images of test/');
  expect(host.textContent).toContain('test loss 0.25');
  expect(host.textContent).toContain('1 image of test/ could not be read and is left out');
});

it('shows a run name that holds HTML as text', async () => {
  await show(sourceOf(aRun({ name: EVIL })));
  expect(host.querySelector('img')).toBeNull();
  expect(host.textContent).toContain(EVIL);
});

it('sorts runs into running, queued and recent, each with its state as a word', async () => {
  await show(
    sourceOf(
      aRun({ id: 'a' }),
      aRun({ id: 'b', state: 'queued', message: 'Waits for cpu:0.' }),
      aRun({ id: 'c', state: 'failed', failure: 'out_of_memory', ended_at: 1, message: 'No memory.' }),
    ),
  );
  const section = (name: string) => host.querySelector(`section[aria-label="${name}"]`)!.textContent;
  expect(section('Running')).toContain('running');
  expect(section('Queued')).toContain('Waits for cpu:0.');
  expect(section('Recent')).toContain('failed · ');
  expect(section('Recent')).not.toContain('out of memory'); // a word more is in the title
  expect(host.querySelector<HTMLElement>('[data-run=c]')!.title).toBe(
    'a run · failed · out of memory · No memory.',
  );
  expect(host.querySelectorAll('.imgcls-primary')).toHaveLength(1);
});

it('moves with the stream, and only forwards', async () => {
  const source = sourceOf(aRun({ revision: 5, step: 50 }));
  await show(source);
  const bar = () => host.querySelector('[role=progressbar]')!.getAttribute('aria-valuenow');
  const push = (run: Run) =>
    act(async () => source.on('runs').push({ kind: 'runs', changed: [run], deleted: [] }));
  expect(bar()).toBe('50');
  await push(aRun({ revision: 6, step: 60 }));
  expect(bar()).toBe('60');
  await push(aRun({ revision: 4, step: 40 }));
  expect(bar()).toBe('60');
});

it('offers the demo where there is no run, and says that no executor lives', async () => {
  const source = sourceOf();
  source.answers.demo = () => ({});
  await show(source);
  expect(host.textContent).toContain('No executor runs.');
  const button = [...host.querySelectorAll('button')].find(item => item.textContent === 'Try the demo')!;
  await act(async () => button.click());
  expect(source.asked.map(([name]) => name)).toContain('demo');
});

it('offers to register a folder where there is no data set, before it complains', async () => {
  vi.useFakeTimers();
  const field = (title: string, group: string) => ({
    title,
    group,
    type: 'string',
    default: '',
    first: true,
  });
  const source = new FakeSource({
    schema: () => ({
      json_schema: {
        properties: { root: field('Data set', 'data'), model_flavour: field('Model', 'model') },
      },
      groups: ['data', 'model'],
      start: { root: '' },
      start_from: null,
      start_project_id: null,
      defaults: { root: '' },
    }),
    check: () => ({
      problems: [{ field: 'root', message: 'Must not be empty.' }],
      facts: {},
      steps: null,
      lr_curve: null,
    }),
    datasets: () => [],
  });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <NewRun />
      </SourceProvider>,
    ),
  );
  await act(async () => vi.advanceTimersByTimeAsync(1000));
  vi.useRealTimers();
  expect(source.asked.map(([name]) => name)).toContain('check');
  const buttons = [...host.querySelectorAll('button')].map(button => button.textContent);
  expect(buttons).toContain('Register a folder…');
  expect(host.querySelector('.imgcls-field-wrong')).toBeNull();
  expect(host.textContent).toContain('Choose a data set, then launch.');
});

it('stops listening when the last view is gone', async () => {
  const source = sourceOf();
  await show(source);
  expect(source.subscriptions.length).toBeGreaterThan(0);
  act(() => root.render(null));
  expect(source.subscriptions).toHaveLength(0);
});

it('asks again for the runs after a gap, and tells of each change of state once', async () => {
  vi.useFakeTimers();
  let state: Run['state'] = 'running';
  const source = new FakeSource({
    runs: (params: { states: string[] }) => {
      const run = aRun({ state, revision: state === 'running' ? 1 : 2 });
      return { items: params.states.includes(state) ? [run] : [], total: 1, counts: { [state]: 1 } };
    },
  });
  const feed = new RunsFeed(source);
  const seen: string[] = [];
  const stop = feed.listen(
    () => undefined,
    (before, now) => before && before.state !== now.state && seen.push(`${before.state} ${now.state}`),
  );
  await vi.advanceTimersByTimeAsync(1);
  state = 'succeeded';
  source.on('runs').link('gap');
  await vi.advanceTimersByTimeAsync(1000);
  expect(seen).toEqual(['running succeeded']);
  expect(feed.current().counts).toEqual({ succeeded: 1 });
  stop();
  vi.useRealTimers();
});

it('names two runs of one name apart, and finds what sets configs apart', () => {
  const names = distinct([
    { id: 'aaa111111', name: 'x' },
    { id: 'bbb222222', name: 'x' },
    { id: 'ccc333333', name: 'y' },
  ]);
  expect(new Set(names.values()).size).toBe(3);
  expect(names.get('ccc333333')).toBe('y');
  expect(
    differences([
      { lr: 1e-3, epochs: 5, ema: null },
      { lr: 1e-4, epochs: 5, ema: null },
    ]),
  ).toEqual([['lr', ['0.001', '1e-4']]]);
});

it('shows a log without terminal escapes and without what was written over', () => {
  expect(readable('a\u001b[31mred\u001b[0m\n10 %\r20 %\r30 %\nend')).toBe('ared\n30 %\nend');
});

it('writes every metric but the loss in per cent', () => {
  const names = ['accuracy', 'metric/macro_f1', 'auroc', 'test/top5', 'loss/val'];
  expect(names.map(name => metric(name, 1))).toEqual(['100.0 %', '100.0 %', '100.0 %', '100.0 %', '1']);
});

it('counts what a run ran: its pauses not, its living attempt up to now', () => {
  expect(ranFor(aRun({ started_at: null, running_since: null }))).toBeNull();
  expect(ranFor(aRun({ ran: 5400, running_since: null, ended_at: 99_999 }))).toBe(5400);
  expect(ranFor(aRun({ ran: 5400, running_since: 90_000 }), 91_800)).toBe(7200);
  expect(ranFor(aRun({ ran: 60, running_since: 1000, unreachable: true, updated_at: 1010 }), 9000)).toBe(70);
});

it('writes figures as a reader wants them', () => {
  expect([0.2143, 12.34, 1412, 3e-5, 0, null].map(figure)).toEqual([
    '0.214',
    '12.3',
    '1,412',
    '3e-5',
    '0',
    '–',
  ]);
  expect([5, 45, 700, 12_000, 200_000].map(duration)).toEqual([
    '5.0 s',
    '45 s',
    '12 min',
    '3 h 20 min',
    '2 d',
  ]);
  expect([ago(1000, 1010), ago(1000, 4599), ago(1000, 4601)]).toEqual(['now', '59 min', '1 h']);
  expect([bytes(512), bytes(1_234_000), usage(9.1e9, 80e9)]).toEqual(['512 B', '1.2 MB', '9.1 / 80 GB']);
  expect(ticks([0, 0.5, 1])).toEqual(['0', '0.5', '1.0']);
  expect(ticks([0.6, 0.7, 0.8], true)).toEqual(['60 %', '70 %', '80 %']);
});

it('offers to resume a run that has a checkpoint, and to start another one again', async () => {
  const buttons = async (part: Partial<Run>) => {
    const run = aRun(part) as RunDetail;
    await act(async () => {
      root.render(
        <SourceProvider value={new FakeSource({ datasets: () => [] })}>
          <Head run={run} link="live" onDeleted={() => undefined} />
        </SourceProvider>,
      );
    });
    return [...host.querySelectorAll('button')].map(button => button.textContent);
  };
  expect(await buttons({ state: 'failed', resumable: true })).toContain('Resume');
  const anew = await buttons({ state: 'failed', resumable: false });
  expect(anew).toContain('Start again');
  expect(anew).not.toContain('Resume');
  for (const state of ['running', 'succeeded'] as const)
    expect((await buttons({ state })).filter(text => text === 'Resume' || text === 'Start again')).toEqual(
      [],
    );
});
