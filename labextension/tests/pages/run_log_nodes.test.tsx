// The log of a run on several nodes: one of each node.
import { act } from 'react';
import { expect, it } from 'vitest';
import { LogTab } from '../../src/views/pages/run_log';
import { SourceProvider } from '../../src/views/data/source';
import type { RunDetail } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';

stage();

async function show(nodes: number) {
  const run = { ...aRun({ state: 'succeeded' }), config: { num_nodes: nodes } } as unknown as RunDetail;
  const source = new FakeSource({
    log: params => {
      const text = `of node ${(params as { node?: number }).node ?? 0}`;
      return { text, offset: 0, end: text.length, size: text.length };
    },
  });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <LogTab run={run} />
      </SourceProvider>,
    ),
  );
}

it('shows the log of the node that is chosen', async () => {
  await show(3);
  const choice = host.querySelector('select')!;
  expect([...choice.options].map(option => option.text)).toEqual([
    'node 1 of 3',
    'node 2 of 3',
    'node 3 of 3',
  ]);
  expect(host.querySelector('pre')!.textContent).toBe('of node 0');
  await act(async () => {
    choice.value = '2';
    choice.dispatchEvent(new Event('change', { bubbles: true }));
  });
  expect(host.querySelector('pre')!.textContent).toBe('of node 2');
});

it('offers no choice for a run on one node', async () => {
  await show(1);
  expect(host.querySelector('select')).toBeNull();
});
