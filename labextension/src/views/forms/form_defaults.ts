// Whose settings a form holds. They change when the user asks for others, never because another data set is chosen.
// Pure; no view.
import { draftOf, type Draft, type Layout } from './config_form';
import type { TrainConfig } from '../data/asked';
import type { Config, RunDetail, SchemaReply } from '../data/types';
import { changesInForce, changeText, configInForce } from '../ui/run_changes';

export interface FormDefaults {
  /** Whose values these are, as part of a sentence; null: the defaults. */
  from: string | null;
  draft: Draft;
  /** The project that they belong to; null: none in particular. */
  project: number | null;
}

const defaultsFrom = (
  layout: Layout,
  from: string,
  config: TrainConfig,
  project: number | null,
): FormDefaults => ({
  from,
  draft: draftOf(layout, config),
  project,
});

/**
 * The settings of a run, as a clone starts from: those that it trains with, or trained with in the end, and `from` says
 * which were changed meanwhile. The plugins of a run from elsewhere are somebody else's code.
 */
export function defaultsFromRun(layout: Layout, run: RunDetail): FormDefaults {
  const [changes, config] = [changesInForce(run), configInForce(run)];
  const turned = [...new Set(changes.map(({ field }) => field))]
    .map(name => changes.filter(({ field }) => field === name))
    .map(own => ({ ...own[own.length - 1]!, old: own[0]!.old }))
    .filter(change => change.old !== change.new)
    .map(changeText);
  const meanwhile = turned.length > 0 ? `, as changed while it trained: ${turned.join(', ')}` : '';
  return defaultsFrom(
    layout,
    `the run “${run.name}”${meanwhile}`,
    run.view_only || run.elsewhere ? { ...config, plugins: [] } : config,
    run.project_id,
  );
}

/** A saved config. */
export const defaultsFromConfig = (layout: Layout, item: Config): FormDefaults =>
  defaultsFrom(layout, `“${item.name}”`, item.config, item.project_id);

/** A config that was pasted; plugins are code, and a text from elsewhere names none. */
export const defaultsFromJson = (layout: Layout, schema: SchemaReply, config: TrainConfig): FormDefaults =>
  defaultsFrom(layout, 'JSON', { ...schema.defaults, ...config, plugins: [] }, null);

/** The defaults, for a data set. */
export const schemaDefaults = (layout: Layout, schema: SchemaReply, root: string): FormDefaults => ({
  from: null,
  draft: { ...draftOf(layout, schema.defaults), root },
  project: null,
});

/** What the server suggests for a new form. */
export const suggestedDefaults = (layout: Layout, schema: SchemaReply): FormDefaults =>
  schema.start_from === null
    ? schemaDefaults(layout, schema, String(schema.start.root ?? ''))
    : defaultsFrom(layout, schema.start_from, schema.start, schema.start_project_id);

/** Settings that were made for a data set: the newest config saved for it, else what the server suggests. */
export function defaultsForDataset(
  layout: Layout,
  schema: SchemaReply,
  root: string,
  configs: Config[],
): FormDefaults | null {
  if (root === '') return null;
  const saved = configs
    .filter(item => item.config.root === root)
    .sort((a, b) => b.updated_at - a.updated_at)[0];
  if (saved) return defaultsFromConfig(layout, saved);
  return schema.start.root === root && schema.start_from !== null ? suggestedDefaults(layout, schema) : null;
}

/** A draft on another base: what was typed stays, all else is the new base's. */
export const withNewDefaults = (draft: Draft, was: Draft, now: Draft): Draft =>
  Object.fromEntries(
    Object.entries(now).map(([name, value]) => [
      name,
      draft[name] === was[name] ? value : (draft[name] ?? value),
    ]),
  );
