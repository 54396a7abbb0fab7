// What is kept of a list under a name, and when it has changed since.
import { expect, it } from 'vitest';
import type { ListView } from '../../src/views/data/run_rows';
import type { SavedView } from '../../src/views/data/types';
import { deleteView, isChanged, keptOf, listOf } from '../../src/views/runs/saved_views';
import { FakeSource } from '../fake';

const list: ListView = {
  where: 'lr>1e-3',
  sorting: { sort: 'best', order: 'desc' },
  columns: null,
  group: ['sweep'],
};
const saved: SavedView = {
  id: 7, name: 'fast', view: keptOf(list), position: 3, created_at: 1, updated_at: 1,
}; // prettier-ignore

it('gives the list back as it was saved', () => {
  expect(listOf(saved)).toEqual({ ...list, saved: 7 });
  const columns = ['state', 'curve'];
  expect(listOf({ ...saved, view: keptOf({ ...list, columns }) }).columns).toEqual(columns);
});

it('has changed where a filter, the order, the columns or the folding is another', () => {
  expect(isChanged(listOf(saved), saved)).toBe(false);
  expect(isChanged({ ...list, where: 'lr>1e-3 ' }, saved)).toBe(false);
  for (const part of [
    { where: '' },
    { sorting: { sort: 'best', order: 'asc' } as const },
    { columns: ['state'] },
    { group: [] },
  ])
    expect(isChanged({ ...list, ...part }, saved)).toBe(true);
});

it('is there again, at its place, where deleting it is undone', async () => {
  const again = { ...saved, id: 8 };
  const source = new FakeSource({ 'views.delete': () => undefined, 'views.add': () => again });
  const back: SavedView[] = [];
  const { undo } = await deleteView(source, saved, view => back.push(view));
  await undo!(source);
  expect(back).toEqual([again]);
  expect(source.asked).toEqual([
    ['views.delete', { id: 7 }],
    ['views.add', { edit: { name: 'fast', view: saved.view, position: 3 } }],
  ]);
});
