// The panel at the left, the status bar and the list of runs: what they show of runs, sweeps and projects.
import { act } from 'react';
import { expect, it } from 'vitest';
import { RunsTable } from '../../src/views/pages/runs_table';
import { mutate } from '../../src/views/data/mutate';
import { Sidebar } from '../../src/views/pages/sidebar';
import { SourceProvider } from '../../src/views/data/source';
import { StatusLine } from '../../src/views/pages/status_line';
import { followed, type Trend } from '../../src/views/data/trend';
import type { Run } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';

stage();

const sourceOf = (...runs: Run[]) =>
  new FakeSource({
    runs: (params: { states?: string[] }) => {
      const items = runs.filter(run => params.states?.includes(run.state));
      const counts: Record<string, number> = {};
      for (const run of runs) counts[run.state] = (counts[run.state] ?? 0) + 1;
      return { items, total: items.length, counts, owners: ['ada'] };
    },
    devices: () => ({ executors: [], devices: [], message: 'No executor runs.' }),
    info: () => ({
      version: '1.2.3',
      datasets_dir: '/d',
      roots: [],
      home: '/h',
      user: 'ada',
      demo_ready: false,
    }),
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

const EVIL = '<img src=x onerror="window.hacked = true">';
stage();

it('draws one figure in a sparkline, an epoch a point, also through a resume', () => {
  const at = (epoch: number, accuracy: number | null, loss: number) =>
    aRun({
      epoch,
      best: accuracy == null ? null : { metric: 'accuracy', value: accuracy, epoch: 1 },
      latest: { 'loss/train': loss, ...(accuracy == null ? {} : { 'metric/accuracy': accuracy }) },
    });
  const runs = [
    at(0.5, null, 2.3),
    at(1, 0.4, 2),
    at(1.5, 0.4, 1.9),
    at(2, 0.4, 1.8),
    at(2, 0.6, 1.8),
    at(3, 0.7, 1),
  ];
  const trend = (some: Run[]) => some.reduce<Trend | undefined>(followed, undefined)!;
  expect(trend(runs)).toEqual({
    metric: 'accuracy',
    points: [
      { epoch: 1, value: 0.4 },
      { epoch: 2, value: 0.6 },
      { epoch: 3, value: 0.7 },
    ],
  });
  expect(trend([...runs, at(2, 0.5, 1)]).points.map(point => point.value)).toEqual([0.4, 0.5]);
  const byLoss = aRun({
    best: { metric: 'loss', value: 1, epoch: 1 },
    latest: { 'loss/train': 9, 'loss/val': 1 },
  });
  expect(trend([byLoss]).points).toEqual([{ epoch: 1, value: 1 }]);
});

it('begins the small curve with what the list has of it, and goes on with the stream', () => {
  const run = aRun({
    epoch: 3,
    curve: [0.2, 0.4, 0.6],
    best: { metric: 'accuracy', value: 0.6, epoch: 3 },
    latest: { 'metric/accuracy': 0.6 },
  });
  const first = followed(undefined, run)!;
  expect(first.points.map(point => point.value)).toEqual([0.2, 0.4, 0.6]);
  const next = followed(first, { ...run, curve: [], epoch: 4, latest: { 'metric/accuracy': 0.7 } })!;
  expect(next.points).toEqual([1, 2, 3, 4].map((epoch, i) => ({ epoch, value: [0.2, 0.4, 0.6, 0.7][i] })));
});

it('says what a run that starts does, and for how long', async () => {
  const updated_at = Date.now() / 1000 - 6;
  await show(
    sourceOf(aRun({ state: 'starting', step: 0, phase: 'loading the model', updated_at, best: null })),
  );
  expect(host.querySelector('[data-run]')!.textContent).toContain('starting: loading the model, 6 s');
});

it('asks for what ended without the trials of sweeps, which would push out all else', async () => {
  const source = sourceOf(aRun());
  await show(source);
  const ended = source.asked.find(([, params]) => (params as { sort?: string }).sort === 'ended_at')![1];
  expect((ended as { where: string }).where).toBe('sweep=""');
});

it('fills the bar of a sweep by its trials, and says how many are done', async () => {
  const sweep = {
    kind: 'sweep',
    epochs: null,
    epoch: 0,
    phase: '3 of 4 trials',
    step: 3,
    total_steps: 4,
  } as const;
  await show(sourceOf(aRun(sweep)));
  expect(host.querySelector('[role=progressbar]')!.getAttribute('aria-valuenow')).toBe('75');
  expect(host.querySelector('[data-run]')!.textContent).toContain('3 of 4 trials');
});

it('sets what runs apart from how the connection stands, in the status bar', async () => {
  const words = { running: (n: number) => `${n} running`, queued: (n: number) => `${n} queued`, title: '' };
  const source = sourceOf(aRun());
  source.answers.runs = () => ({ items: [aRun()], total: 1, counts: { running: 1 }, owners: ['ada'] });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <StatusLine words={words} onOpen={() => undefined} />
      </SourceProvider>,
    ),
  );
  expect(host.textContent).toBe('1 running');
  await act(async () => source.on('runs').connection('reconnecting'));
  expect(host.textContent!.replaceAll('\u00a0', ' ')).toBe('1 running · reconnecting…');
});

it('offers a new project in an open list of runs', async () => {
  const project = (id: number) => ({ id, name: `p${id}` });
  const source = sourceOf(aRun());
  source.answers.projects = () => [project(1), project(2)];
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <RunsTable chosen={new Set()} onChoose={() => undefined} />
      </SourceProvider>,
    ),
  );
  const press = (text: string) =>
    act(async () =>
      [...host.querySelectorAll('button')].find(item => item.textContent!.includes(text))!.click(),
    );
  const names = () => [...host.querySelectorAll('[role=dialog] label')].map(label => label.textContent);
  await press('+ filter');
  await press('Project');
  expect(names()).toEqual(['p1', 'p2']);
  source.answers.projects = () => [project(1), project(2), project(3)];
  source.answers['projects.add'] = () => project(3);
  await act(async () => void mutate(source, 'projects.add', { edit: { name: 'p3', description: '' } }));
  expect(names()).toEqual(['p1', 'p2', 'p3']);
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
    act(async () => {
      source.on('runs').push({ kind: 'runs', changed: [run], deleted: [] });
      await new Promise(resolve => setTimeout(resolve, 300)); // steps are drawn four times a second
    });
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
  expect(host.textContent).toContain('Nothing starts queued runs at the moment.');
  expect(host.textContent).not.toContain('executor');
  const button = [...host.querySelectorAll('button')].find(item => item.textContent === 'Try the demo')!;
  await act(async () => button.click());
  expect(source.asked.map(([name]) => name)).toContain('demo');
});

it('stops listening when the last view is gone', async () => {
  const source = sourceOf();
  await show(source);
  expect(source.subscriptions.length).toBeGreaterThan(0);
  act(() => root.render(null));
  expect(source.subscriptions).toHaveLength(0);
});

it('shows a sweep as one row, whose trials stand in its page', async () => {
  const sweep = aRun({ id: 's', kind: 'sweep', name: 'lr × augmentation' });
  const trial = (id: string) => aRun({ id, parent_id: 's', name: id });
  const retrained = aRun({ id: 'again', parent_id: 'other', name: 'again' });
  await show(sourceOf(sweep, trial('t1'), trial('t2'), retrained));
  const ids = [...host.querySelectorAll('section[aria-label=Running] [data-run]')].map(
    row => (row as HTMLElement).dataset.run,
  );
  expect(ids.sort()).toEqual(['again', 's']);
});

it('cuts a long name in its middle: its end tells it apart', async () => {
  await show(sourceOf(aRun({ name: 'convnext-tiny label smoothing 0.1 seed 3' })));
  const name = host.querySelector('[data-run] b')!;
  expect(name.textContent).toBe('convnext-tiny label smoothing 0.1 seed 3');
  expect([...name.querySelectorAll('.imgcls-middle > span')].map(part => part.textContent)).toEqual([
    'convnext-tiny label smoothing 0.',
    '1 seed 3',
  ]);
  // read aloud as one text, which the style sheet puts there, not as two
  expect(name.querySelectorAll('.imgcls-middle > span:not([aria-hidden])')).toHaveLength(0);
  expect(name.querySelector<HTMLElement>('.imgcls-middle')!.dataset.whole).toBe(name.textContent);
});
