// Commands that change a list which several views show: each of them then reads it again.
import type { Args, Command, Query, RegistryName, Reply, Source } from './source';

/** The registries, in the order of their tabs. */
export const REGISTRIES = ['datasets', 'models', 'configs', 'projects'] as const satisfies RegistryName[];
const LISTS: readonly Query[] = [...REGISTRIES, 'tensorboards'];
const readers = new WeakMap<Source, Map<Query, Set<() => void>>>();

const readersOf = (source: Source, list: Query): Set<() => void> => {
  let all = readers.get(source);
  if (!all) readers.set(source, (all = new Map()));
  let some = all.get(list);
  if (!some) all.set(list, (some = new Set()));
  return some;
};

/** Call `read` when a list was changed, until the returned function is called. A query for no list never is. */
export function onMutation(source: Source, query: Query, read: () => void): (() => void) | undefined {
  if (!LISTS.includes(query)) return undefined;
  readersOf(source, query).add(read);
  return () => void readersOf(source, query).delete(read);
}

/** What a command changes: `projects.add` the projects; the demo writes into several registries. */
const changedBy = (command: Command): readonly Query[] =>
  command === 'demo' ? REGISTRIES : LISTS.filter(list => command.startsWith(`${list}.`));

/** Send a command that changes a list. Rejects as the source does. */
export async function mutate<K extends Command>(source: Source, name: K, args: Args[K]): Promise<Reply[K]> {
  const reply = await source.command(name, args);
  for (const list of changedBy(name)) readersOf(source, list).forEach(read => read());
  return reply;
}
