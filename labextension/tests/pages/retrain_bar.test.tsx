// The bar of corrections since a run: what the newest revision changes against the run's own data, and nothing where
// that is nothing.
import { act } from 'react';
import { expect, it } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { RevisionDiff, RunDetail } from '../../src/views/data/types';
import { useCorrections } from '../../src/views/evaluation/use_corrections';
import { RetrainBar } from '../../src/views/pages/retrain_bar';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';

stage();

function Bar({ run }: { run: RunDetail }) {
  return <RetrainBar run={run} standing={useCorrections(run)} focus={false} />;
}

const BEST = { metric: 'accuracy', value: 0.9, epoch: 2 };

async function show(since: Partial<RevisionDiff>, newest: number, best: RunDetail['best'] = BEST) {
  const source = new FakeSource({
    datasets: () => [{ id: 1, name: 'digits', created_at: 1 }],
    revisions: () => Array.from({ length: newest }, (_, i) => ({ number: i + 1, relabelled: 40 })),
    correctionsSince: () => ({ changes: [], relabelled: 0, excluded: 0, restored: 0, total: 0, ...since }),
    image: () => new Blob(['x']),
    retrain: () => ({ ...aRun({ id: 'child', name: 'a run, revision 4' }), made: false }),
  });
  const run = aRun({ dataset_id: 1, state: 'succeeded', best }) as RunDetail;
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <Bar run={{ ...run, data_revision: 1 }} />
      </SourceProvider>,
    ),
  );
  return host.textContent ?? '';
}

it('shows the net change, not the sum of the revisions, and lists it', async () => {
  const change = {
    image: 'a',
    name: 'val/3/1.png',
    split: 'val',
    before: '3',
    label: '5',
    why: 'by hand',
    found: true,
  };
  const text = await show({ against: 1, relabelled: 1, excluded: 2, total: 3, changes: [change] }, 4);
  expect(text).toContain('1 relabelled, 2 excluded compared with revision 1');
  expect(text).not.toContain('40');
  await act(async () => [...host.querySelectorAll('button')].find(b => b.textContent === 'show')!.click());
  expect(host.textContent).toContain('val/3/1.png');
});

it('is not there where later revisions took one another back, or where there is none', async () => {
  expect(await show({ against: 1, total: 0 }, 3)).toBe('');
  expect(await show({ against: 1, total: 5 }, 1)).toBe('');
});

it('says so where such a run waits or trains already', async () => {
  await show({ against: 1, relabelled: 1, total: 1 }, 4);
  await act(async () => host.querySelector<HTMLElement>('.imgcls-primary')!.click());
  expect(host.querySelector('[role=status]')!.textContent).toMatch(
    /^It is there already: a run, revision 4, running, .*Nothing was queued\.$/,
  );
});

it('says nothing at a run that has learned nothing: there is no best to go on from', async () => {
  expect(await show({ against: 1, relabelled: 1, total: 1 }, 4, null)).toBe('');
});
