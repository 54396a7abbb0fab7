// A list of runs in a cell: it follows what its runs do, asks again when one may belong to it, and leads to their pages.
import { act } from 'react';
import { expect, it } from 'vitest';
import { LiveRuns } from '../../src/views/live/live_runs';
import { SourceProvider } from '../../src/views/data/source';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';

stage();

it('shows what its query finds, live', async () => {
  let items = [aRun({ id: 'a', name: 'first', epoch: 1, values: { lr: 0.5 } })];
  const source = new FakeSource({
    runs: ({ where }: { where?: string }) =>
      where === 'lr>0.1'
        ? { items, total: items.length, counts: {}, owners: [] }
        : { items: [], total: 0, counts: {}, owners: [] },
  });
  const went: Place[] = [];
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <NavigationProvider value={place => went.push(place)}>
          <LiveRuns query={{ where: 'lr>0.1', columns: ['lr'] }} />
        </NavigationProvider>
      </SourceProvider>,
    ),
  );
  const cells = (id: string) =>
    [...host.querySelectorAll(`tr[data-run=${id}] td`)].map(cell => cell.textContent);
  expect(cells('a').slice(0, 4)).toEqual(['first', 'running', '10 %', '1 / 10']);
  expect(cells('a')).toContain('0.500');

  const further = aRun({ id: 'a', name: 'first', epoch: 5, step: 50, revision: 2 });
  await act(async () => source.on('runs').push({ kind: 'runs', changed: [further], deleted: [] }));
  expect(cells('a').slice(2, 4)).toEqual(['50 %', '5 / 10']);
  expect(cells('a')).toContain('0.500'); // the stream has no values of columns

  items = [aRun({ id: 'b', name: 'second' }), ...items];
  await act(async () => source.on('runs').push({ kind: 'runs', changed: [items[0]!], deleted: [] }));
  expect(cells('b')[0]).toBe('second');
  await act(async () => host.querySelector<HTMLButtonElement>('tr[data-run=b] button')!.click());
  expect(went).toEqual([{ view: 'run', id: 'b' }]);
});
