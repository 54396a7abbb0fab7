// Whose settings a form holds. They change when the user asks for others, never because another data set is chosen.
// Pure; no view.
import { draftOf, type Draft, type Layout } from './config_form';
import type { TrainConfig } from '../data/source';
import type { Config, RunDetail, SchemaReply } from '../data/types';

export interface Base {
  /** Whose values these are, as part of a sentence; null: the defaults. */
  from: string | null;
  draft: Draft;
  /** The project that they belong to; null: none in particular. */
  project: number | null;
}

const based = (layout: Layout, from: string, config: TrainConfig, project: number | null): Base => ({
  from,
  draft: draftOf(layout, config),
  project,
});

/** The settings of a run, as a clone starts from. */
export const ofRun = (layout: Layout, run: RunDetail): Base =>
  based(layout, `the run “${run.name}”`, run.config, run.project_id);

/** A saved config. */
export const ofConfig = (layout: Layout, item: Config): Base =>
  based(layout, `“${item.name}”`, item.config, item.project_id);

/** The defaults, for a data set. */
export const plain = (layout: Layout, schema: SchemaReply, root: string): Base => ({
  from: null,
  draft: { ...draftOf(layout, schema.defaults), root },
  project: null,
});

/** What the server suggests for a new form. */
export const suggested = (layout: Layout, schema: SchemaReply): Base =>
  schema.start_from === null
    ? plain(layout, schema, String(schema.start.root ?? ''))
    : based(layout, schema.start_from, schema.start, schema.start_project_id);

/** Settings that were made for a data set: the newest config saved for it, else what the server suggests. */
export function madeFor(layout: Layout, schema: SchemaReply, root: string, configs: Config[]): Base | null {
  if (root === '') return null;
  const saved = configs
    .filter(item => item.config.root === root)
    .sort((a, b) => b.updated_at - a.updated_at)[0];
  if (saved) return ofConfig(layout, saved);
  return schema.start.root === root && schema.start_from !== null ? suggested(layout, schema) : null;
}

/** A draft on another base: what was typed stays, all else is the new base's. */
export const rebased = (draft: Draft, was: Draft, now: Draft): Draft =>
  Object.fromEntries(
    Object.entries(now).map(([name, value]) => [
      name,
      draft[name] === was[name] ? value : (draft[name] ?? value),
    ]),
  );
