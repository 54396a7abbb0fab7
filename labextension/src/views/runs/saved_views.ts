// Lists of runs that are saved under a name: what is kept of a list, and adding, changing and deleting one. No view.
import { mutate } from '../data/mutate';
import type { ListView } from '../data/run_rows';
import type { Source } from '../data/source';
import type { SavedView, SavedViewEdit } from '../data/types';
import { outcome, type Outcome } from './run_actions';

/** What is kept of a list. No columns: those that somebody gets who has chosen none. */
export const keptOf = ({ where, sorting, columns, group }: ListView): SavedViewEdit['view'] => ({
  where: where.trim(),
  columns: [...(columns ?? [])],
  sort: sorting.sort,
  descending: sorting.order === 'desc',
  group: [...group],
});

/** The list that a view was saved as. */
export function listOf({ id, view }: SavedView): ListView {
  const { where = '', columns = [], sort = 'created', descending = true, group = [] } = view;
  return {
    where,
    sorting: { sort, order: descending ? 'desc' : 'asc' },
    columns: columns.length > 0 ? columns : null,
    group,
    saved: id,
  };
}

/** Whether a list shows something else than the view that it began as. */
export const isChanged = (list: ListView, saved: SavedView): boolean =>
  JSON.stringify(keptOf(list)) !== JSON.stringify(keptOf(listOf(saved)));

export const addView = (source: Source, name: string, list: ListView): Promise<SavedView> =>
  mutate(source, 'views.add', { edit: { name, view: keptOf(list) } });

export const renameView = async (source: Source, { id, view }: SavedView, name: string): Promise<Outcome> => {
  await mutate(source, 'views.edit', { id, edit: { name, view } });
  return outcome(`The view is called “${name}” now.`);
};

/** Keep a list under the name of a view, in place of what the view was. */
export async function replaceView(source: Source, saved: SavedView, list: ListView): Promise<Outcome> {
  const { id, name, view } = saved;
  await mutate(source, 'views.edit', { id, edit: { name, view: keptOf(list) } });
  return outcome(`The view “${name}” is saved as it is now.`, {
    undo: async to => {
      await mutate(to, 'views.edit', { id, edit: { name, view } });
      return outcome(`The view “${name}” is as it was.`);
    },
  });
}

/** Forget a view. `onBack`: deleting it was undone; the view has another id then. */
export async function deleteView(
  source: Source,
  { id, name, view, position }: SavedView,
  onBack: (again: SavedView) => void,
): Promise<Outcome> {
  await mutate(source, 'views.delete', { id });
  return outcome(`Deleted the view “${name}”; its runs stay.`, {
    undo: async to => {
      onBack(await mutate(to, 'views.add', { edit: { name, view, position } }));
      return outcome(`The view “${name}” is back.`);
    },
  });
}
