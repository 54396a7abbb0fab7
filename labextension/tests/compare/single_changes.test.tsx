// A run for each setting in which two runs differ: what is queued, once each, and what is said of what is refused.
import { act } from 'react';
import { expect, it } from 'vitest';
import { SingleChangesMenu } from '../../src/views/compare/single_changes_menu';
import { SourceError, SourceProvider } from '../../src/views/data/source';
import type { ComparedField, Comparison, SubmitRequest } from '../../src/views/data/types';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import { FakeSource, aRun, aRunDetail } from '../fake';
import { host, root, stage } from '../stage';

stage();

const field = (name: string, title: string, values: ComparedField['values']): ComparedField => ({
  ...{ part: 'config', name, title, values },
});
const DIFFERS = [
  field('lr', 'Learning rate', [0.001, 0.01]),
  field('label_smoothing', 'Label smoothing', [0, 0.1]),
  field('root', 'Data set', ['/data/a', '/data/b']),
  { ...field('torch', 'torch', ['2.5', '2.6']), part: 'environment' as const },
];
const RUNS = {
  a: aRunDetail({ id: 'a', name: 'first', config: { lr: 0.001, label_smoothing: 0, root: '/data/a' } }),
  b: aRunDetail({
    ...{ id: 'b', name: 'second', config: { lr: 0.1, label_smoothing: 0.1, root: '/data/b' } },
    changes: [{ number: 1, field: 'lr', old: 0.1, new: 0.01, step: 20 }], // it trained with this one in the end
  }),
};
const comparison = (differs: ComparedField[]): Comparison => ({
  ...{ runs: [RUNS.a, RUNS.b], missing: [], unrecorded: [], differs, same: [], same_settings: 40 },
  ...{ unlisted: 0, other_images: false, sizes: [null, null], tags: [] },
});

async function open(differs: ComparedField[], submit: (request: SubmitRequest) => unknown) {
  const went: Place[] = [];
  const source = new FakeSource({
    run: ({ id }: { id: 'a' | 'b' }) => RUNS[id],
    runs: () => ({ items: [], total: 0, counts: {}, owners: [] }),
    submit,
  });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <NavigationProvider value={place => went.push(place)}>
          <SingleChangesMenu comparison={comparison(differs)} />
        </NavigationProvider>
      </SourceProvider>,
    ),
  );
  return { source, went };
}

const press = (text: RegExp) =>
  act(async () =>
    [...host.querySelectorAll('button')].find(each => text.test(each.textContent ?? ''))!.click(),
  );

it('queues the first run with one setting of the second, for each that is chosen', async () => {
  const { source, went } = await open(DIFFERS, request => aRun({ id: `new-${request.name}` }));
  await press(/single changes/);
  expect([...host.querySelectorAll('label')].map(each => each.textContent)).toEqual([
    'learning rate 0.001 → 0.01',
    'label smoothing 0 → 0.1',
  ]);
  await press(/Queue 2 runs/);
  const sent = source.asked.filter(([name]) => name === 'submit').map(([, args]) => args as SubmitRequest);
  expect(sent.map(({ name, config, parent_id }) => ({ name, config, parent_id }))).toEqual([
    {
      name: 'first: learning rate 0.01',
      config: { lr: 0.01, label_smoothing: 0, root: '/data/a' },
      parent_id: 'a',
    },
    {
      name: 'first: label smoothing 0.1',
      config: { lr: 0.001, label_smoothing: 0.1, root: '/data/a' },
      parent_id: 'a',
    },
  ]);
  expect(new Set(sent.map(({ idempotency_key: key }) => key)).size).toBe(2);
  await press(/Compare all 4/);
  expect(went).toEqual([
    { view: 'compare', ids: ['a', 'b', 'new-first: learning rate 0.01', 'new-first: label smoothing 0.1'] },
  ]);
});

it('says which change the server refuses, and queues the others', async () => {
  const { source } = await open(DIFFERS, request => {
    if (request.name?.includes('smoothing')) throw new SourceError('It needs cross entropy.', 400);
    return aRun({ id: 'new' });
  });
  await press(/single changes/);
  await press(/Queue 2 runs/);
  expect(host.textContent).toContain('1 run in the queue.');
  expect(host.textContent).toContain('label smoothing: It needs cross entropy.');
  expect(source.asked.filter(([name]) => name === 'submit')).toHaveLength(2);
});

it('is not offered where one setting differs: that is the cause', async () => {
  await open([DIFFERS[0]!, DIFFERS[2]!, DIFFERS[3]!], () => aRun());
  expect(host.textContent).toBe('');
});
