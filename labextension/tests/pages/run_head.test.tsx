import { act } from 'react';
import { expect, it } from 'vitest';
import { Head } from '../../src/views/pages/run_head';
import { SourceProvider } from '../../src/views/data/source';
import type { RunDetail, Run } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';

stage();

it('offers to resume a run that has a checkpoint, and to start another one again', async () => {
  const buttons = async (part: Partial<Run>) => {
    const run = aRun(part) as RunDetail;
    await act(async () => {
      root.render(
        <SourceProvider value={new FakeSource({ datasets: () => [] })}>
          <Head run={run} connection="live" onDeleted={() => undefined} />
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
