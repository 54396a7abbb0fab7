// Commands that change what several views show: each of them then reads it again.
import type { RegistryName } from './asked';
import type { Args, Command, Query, Reply } from './requests';
import type { Source } from './source';

/** The registries, in the order of their tabs. */
export const REGISTRIES = ['datasets', 'models', 'configs', 'projects'] as const satisfies RegistryName[];
/** What a command changes, by the first word of its name. */
const CHANGED: Record<string, readonly Query[]> = {
  ...Object.fromEntries(REGISTRIES.map(name => [name, [name]])),
  projects: ['projects', 'project', 'configs'],
  configs: ['configs', 'configVersions', 'project'],
  submit: ['runs', 'run', 'project'],
  runs: ['runs', 'run', 'runColumns', 'project', 'viewCounts'],
  datasets: ['datasets', 'dataset'],
  views: ['views', 'viewCounts'],
  tensorboards: ['tensorboards'],
  archives: ['archives', 'storage'],
  audits: ['audit', 'problems'],
  revisions: ['revisions', 'correctionsSince', 'dataset', 'datasetImages', 'problems'],
  models: ['models', 'cachedModels'],
  demo: REGISTRIES,
};
/** What tasks of the server change, which tell it when they have ended. */
const BY_TASKS: readonly Query[] = ['storage', 'archives', 'projects', 'configs', 'views', 'runColumns'];
const FOLLOWED = new Set([...Object.values(CHANGED).flat(), ...BY_TASKS]);
const readers = new WeakMap<Source, Map<Query, Set<() => void>>>();

const readersOf = (source: Source, list: Query): Set<() => void> => {
  let all = readers.get(source);
  if (!all) readers.set(source, (all = new Map()));
  let some = all.get(list);
  if (!some) all.set(list, (some = new Set()));
  return some;
};

/** Call `read` when a command changed what a query answers, until the returned function is called. */
export function onMutation(source: Source, query: Query, read: () => void): (() => void) | undefined {
  if (!FOLLOWED.has(query)) return undefined;
  readersOf(source, query).add(read);
  return () => void readersOf(source, query).delete(read);
}

/** Send a command that changes what views show. Rejects as the source does. */
export async function mutate<K extends Command>(source: Source, name: K, args: Args[K]): Promise<Reply[K]> {
  const reply = await source.command(name, args);
  changed(source, CHANGED[name.split('.')[0]!] ?? []);
  return reply;
}

/** Read again what these queries answered. */
export function changed(source: Source, queries: readonly Query[]): void {
  for (const query of queries) readersOf(source, query).forEach(read => read());
}
