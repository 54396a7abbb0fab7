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

const node = { gpus: 4, free_gpus: 4, cpus: 32, kind: 'A100', alive: true, reason: '', runs: [] };
const token = {
  name: 'a/gpu:0',
  title: 'a · GPU 0',
  kind: 'cuda',
  host: 'ray',
  memory_total: null,
  memory_used: null,
  utilisation: null,
  run_id: 'r1',
  run_name: 'first',
  run_owner: 'ada',
  held_by: null,
  gpu_processes: [],
};
const cluster = {
  title: 'Ray',
  host: 'ray',
  waiting: 1,
  away: null,
  nodes: [
    { ...node, name: 'idle' },
    { ...node, name: 'a', free_gpus: 3, runs: [{ run_id: 'r1', run_name: 'first', run_owner: 'ada' }] },
    { ...node, name: 'b', alive: false, free_gpus: 0, reason: 'Ray has lost it.' },
  ],
};
const reply = { executors: [], devices: [token], message: null, cluster };

it('shows nodes instead of tokens: those that are down first, then those with runs', async () => {
  await show(reply);
  expect([...host.querySelectorAll('[data-node]')].map(row => row.getAttribute('data-node'))).toEqual([
    'b',
    'a',
    'idle',
  ]);
  expect(host.textContent).toContain('2 nodes, 1 of 8 GPUs busy');
  expect(host.textContent).toContain('1 job waits in its own queue');
  expect(host.querySelector('[data-node=a]')?.textContent).toContain('first');
  expect(host.querySelector('[data-node=b]')?.textContent).toContain('Ray has lost it.');
  expect(host.textContent).not.toContain('GPU 0');
});

it('says that the scheduler does not answer, and counts the nodes of a long list', async () => {
  const nodes = Array.from({ length: 1000 }, (_, n) => ({ ...node, name: `n${n}` }));
  const away = 'Ray does not answer.';
  await show({ ...reply, cluster: { ...cluster, away, nodes } });
  expect(host.querySelectorAll('[data-node]')).toHaveLength(50);
  expect(host.textContent).toContain('and 950 more nodes');
  expect(host.textContent).toContain(away);
});
