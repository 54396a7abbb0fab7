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
    await show({ devices: () => ({ ...reply, warm_memory: 810e6 }) }, <Devices key="warm" />);
    expect(host.textContent).toContain('Warm start holds 810 MB (IMGCLS_WARM_START=0 turns it off).');
  });
});
