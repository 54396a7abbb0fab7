// The registries' lists stand on several pages at once: who changes one lets all of them read it anew.
import type { Args, Command, Query, Reply, Shelf, Source } from './source';

const SHELVES: readonly string[] = ['projects', 'configs', 'datasets', 'models'] satisfies Shelf[];
const readers = new WeakMap<Source, Map<string, Set<() => void>>>();

const readersOf = (source: Source, shelf: string): Set<() => void> => {
  let all = readers.get(source);
  if (!all) readers.set(source, (all = new Map()));
  let some = all.get(shelf);
  if (!some) all.set(shelf, (some = new Set()));
  return some;
};

/** Call `read` when a shelf was changed, until the returned function is called; any other query never is. */
export function onShelf(source: Source, query: Query, read: () => void): (() => void) | undefined {
  if (!SHELVES.includes(query)) return undefined;
  readersOf(source, query).add(read);
  return () => void readersOf(source, query).delete(read);
}

/** What a command changes of the registries: `projects.add` the projects; the demo writes into several. */
const changedBy = (command: Command): readonly string[] =>
  command === 'demo' ? SHELVES : SHELVES.filter(shelf => command.startsWith(`${shelf}.`));

/** Send a command that changes a registry. Rejects as the source does. */
export async function change<K extends Command>(source: Source, name: K, args: Args[K]): Promise<Reply[K]> {
  const reply = await source.command(name, args);
  for (const shelf of changedBy(name)) readersOf(source, shelf).forEach(read => read());
  return reply;
}
