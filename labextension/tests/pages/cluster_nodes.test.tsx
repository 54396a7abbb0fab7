// The nodes of a cluster among the devices: what is on each, and the queue of the scheduler.
import { act } from 'react';
import { expect, it } from 'vitest';
import { Devices } from '../../src/views/pages/devices';
import { SourceProvider } from '../../src/views/data/source';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();

const show = (shown: unknown) =>
  act(async () =>
    root.render(
      <SourceProvider value={new FakeSource({ devices: () => shown })}>
        <Devices />
      </SourceProvider>,
    ),
  );

const node = {
  gpus: 4,
  free_gpus: 4,
  cpus: 32,
  kind: 'A100',
  alive: true,
  reason: '',
  runs: [],
  more_runs: 0,
};
const cluster = {
  title: 'Ray',
  host: 'ray',
  waiting: 1,
  away: null,
  nodes: [
    { ...node, name: 'b', alive: false, free_gpus: 0, reason: 'Ray has lost it.' },
    {
      ...node,
      name: 'a',
      free_gpus: 3,
      runs: [{ run_id: 'r1', run_name: 'first', run_owner: 'ada' }],
      more_runs: 2,
    },
    { ...node, name: 'idle' },
  ],
  totals: { alive: 2, down: 1, gpus: 8, free_gpus: 7, cpus: 64 },
};
const reply = { executors: [], devices: [], more_devices: 0, message: null, cluster };

it('shows nodes, what runs on each, and why one is down', async () => {
  await show(reply);
  expect([...host.querySelectorAll('[data-node]')].map(row => row.getAttribute('data-node'))).toEqual([
    'b',
    'a',
    'idle',
  ]);
  expect(host.textContent).toContain('2 nodes, 1 of 8 GPUs busy');
  expect(host.textContent).toContain('1 job waits in its own queue');
  expect(host.querySelector('[data-node=a]')?.textContent).toContain('first');
  expect(host.querySelector('[data-node=a]')?.textContent).toContain('and 2 more runs');
  expect(host.querySelector('[data-node=b]')?.textContent).toContain('Ray has lost it.');
});

it('says that the scheduler does not answer, and counts what a long list leaves out', async () => {
  const nodes = Array.from({ length: 50 }, (_, n) => ({ ...node, name: `n${n}` }));
  const totals = { ...cluster.totals, alive: 999 };
  const away = 'Ray does not answer.';
  await show({ ...reply, more_devices: 7, cluster: { ...cluster, away, nodes, totals } });
  expect(host.querySelectorAll('[data-node]')).toHaveLength(50);
  expect(host.querySelectorAll('details [data-node]')).toHaveLength(44);
  expect(host.querySelector('summary')?.textContent).toBe('994 more nodes');
  expect(host.textContent).toContain('and 950 more nodes');
  expect(host.textContent).toContain('and 7 more devices');
  expect(host.textContent).toContain(away);
});
