import { act, type ReactNode } from 'react';
import { describe, expect, it } from 'vitest';
import { Alerts } from '../../src/views/pages/alerts';
import { Devices } from '../../src/views/pages/devices';
import { SourceProvider } from '../../src/views/data/source';
import type { Alert, Device, Holder } from '../../src/views/data/types';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

const alert = (part: Partial<Alert> = {}): Alert => ({
  id: 'a-1-end',
  kind: 'failed',
  text: '“a” failed: no reason',
  run_id: 'r1',
  host: 'here',
  created_at: 1000,
  ...part,
});
const holder = (part: Partial<Holder> = {}): Holder => ({
  pid: 7,
  name: 'ipykernel_launcher',
  user: 'alice',
  memory: 30e9,
  since: Date.now() / 1000 - 7200,
  idle_since: null,
  run_id: null,
  run_name: null,
  notebook: null,
  ...part,
});
stage();

const show = (answers: Record<string, () => unknown>, view: ReactNode) =>
  act(async () => root.render(<SourceProvider value={new FakeSource(answers)}>{view}</SourceProvider>));

/** The alerts of a server that keeps what is put away. */
function keeping(...alerts: Alert[]) {
  const away = new Set<string>();
  const mark =
    (verb: 'add' | 'delete') =>
    ({ ids }: { ids: string[] }) => {
      const moved = ids.filter(id => away.has(id) === (verb === 'delete'));
      moved.forEach(id => away[verb](id));
      return { ids: moved };
    };
  const source = new FakeSource({
    alerts: () => alerts.map(one => ({ ...one, dismissed: away.has(one.id) })),
    'alerts.dismiss': mark('add'),
    'alerts.restore': mark('delete'),
  });
  const draw = (key = '') =>
    act(async () =>
      root.render(
        <SourceProvider value={source}>
          <Alerts key={key} now={2000} />
        </SourceProvider>,
      ),
    );
  return { source, draw };
}

const rows = () => [...host.querySelectorAll('[data-alert]')].map(row => row.textContent!.replace('✕', ''));
const press = (label: string) =>
  act(async () =>
    [...host.querySelectorAll('button')]
      .find(item => (item.getAttribute('aria-label') ?? item.textContent!).startsWith(label))!
      .click(),
  );

describe('alerts that are put away', () => {
  const two = [alert({ id: '1', text: 'one' }), alert({ id: '2', text: 'two', created_at: 900 })];

  it('stay away after a reload, and come back by Undo', async () => {
    const { source, draw } = keeping(...two);
    await draw();
    await press('Dismiss: one');
    expect(rows()).toEqual(['two18 min']);
    await draw('reloaded');
    expect(rows()).toEqual(['two18 min']);
    await press('Dismiss: two');
    expect(rows()).toEqual([]);
    await press('Undo');
    expect(rows()).toEqual(['two18 min']);
    expect(source.asked.filter(([name]) => name === 'alerts.restore')).toEqual([
      ['alerts.restore', { ids: ['2'] }],
    ]);
  });

  it('go all at once, of which Undo takes back no more than that', async () => {
    const { draw } = keeping(...two, alert({ id: '3', text: 'three' }));
    await draw();
    await press('Dismiss: three');
    await press('dismiss all 2');
    expect(rows()).toEqual([]);
    expect(host.textContent).toContain('2 alerts dismissed.');
    await press('Undo');
    expect(rows()).toEqual(['one16 min', 'two18 min']);
  });

  it('are put away in this page when another page does so', async () => {
    const { source, draw } = keeping(...two);
    await draw();
    const push = (part: { dismissed?: string[]; restored?: string[] }) =>
      act(async () =>
        source.on('alerts').push({ kind: 'alerts', alerts: [], dismissed: [], restored: [], ...part }),
      );
    await push({ dismissed: ['1'] });
    expect(rows()).toEqual(['two18 min']);
    await push({ restored: ['1'] });
    expect(rows()).toEqual(['one16 min', 'two18 min']);
  });

  it('stay where the server refuses, with its sentence', async () => {
    const { source, draw } = keeping(...two);
    source.answers['alerts.dismiss'] = () => {
      throw new Error('You may not do this.');
    };
    await draw();
    await press('Dismiss: one');
    expect(rows()).toHaveLength(2);
    expect(host.textContent).toContain('You may not do this.');
  });

  it('are one row for the trials of a sweep, which goes as a whole', async () => {
    const trial = (id: string, part: Partial<Alert> = {}) =>
      alert({ id, run_id: id, sweep_id: 's', sweep_name: 'lr', text: `${id} failed`, ...part });
    const { source, draw } = keeping(
      trial('1'),
      trial('2'),
      trial('3', { kind: 'lost' }),
      alert({ id: '4' }),
    );
    await draw();
    expect(rows()).toEqual([
      '“lr”: 2 trials failed.16 min',
      '“lr”: a trial was lost.16 min',
      '“a” failed: no reason16 min',
    ]);
    await press('Dismiss: “lr”: 2 trials');
    expect(source.asked.filter(([name]) => name === 'alerts.dismiss')).toEqual([
      ['alerts.dismiss', { ids: ['1', '2'] }],
    ]);
  });
});

describe('the panel', () => {
  it('lists what went wrong lately and not what finished', async () => {
    const alerts = [
      alert({ id: '2', kind: 'finished', text: 'done' }),
      alert(),
      alert({ id: '0', created_at: -90000 }),
    ];
    await show({ alerts: () => alerts }, <Alerts now={2000} />);
    expect(host.textContent).toContain('“a” failed: no reason');
    expect(host.querySelectorAll('[data-alert]')).toHaveLength(1);
  });

  it('names who holds the memory of a GPU, and whether it idles', async () => {
    const device: Device = {
      name: 'cuda:0',
      title: 'GPU 0 · H100',
      kind: 'cuda',
      host: 'here',
      memory_total: 80e9,
      memory_used: 60e9,
      utilisation: 0,
      run_id: null,
      run_name: null,
      run_owner: null,
      held_by: 'ipykernel_launcher (pid 7, 30.0 GB)',
      gpu_processes: [
        holder({ notebook: 'work/train.ipynb', idle_since: Date.now() / 1000 - 3700 }),
        holder({ pid: 8, run_id: 'r1', run_name: 'my run' }),
        holder({ pid: 9, name: null, memory: null }),
      ],
    };
    const reply = { executors: [], devices: [device], message: null };
    await show({ devices: () => reply }, <Devices />);
    const row = (pid: number) => host.querySelector<HTMLElement>(`[data-pid="${pid}"]`);
    expect(row(7)?.textContent).toMatch(/work\/train\.ipynb30.0 GB · for 2 h · idle for 1 h/);
    expect(row(7)?.title).toBe('pid 7 · ipykernel_launcher · alice');
    expect(row(8)?.querySelector('button')?.textContent).toBe('my run');
    expect(row(9)?.textContent).toContain('process 9');
    expect(host.textContent).not.toContain('Warm start');
    expect(host.textContent).toContain('held by work/train.ipynb');
    expect(host.textContent).not.toContain('pid');
    await show({ devices: () => ({ ...reply, warm_memory: 810e6 }) }, <Devices key="warm" />);
    expect(host.textContent).not.toContain('IMGCLS'); // its page explains what it holds
  });
});
