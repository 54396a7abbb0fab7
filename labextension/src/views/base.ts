// Whose settings a form starts from. A data set's settings never pass to another one unless the user asked for them.
// Pure; no view.
import { draftOf, type Draft, type Layout } from './form';
import type { Config } from './source';
import type { ConfigView, SchemaReply } from './types';

export interface Base {
  /** Whose values these are, as part of a sentence; null: the defaults. */
  from: string | null;
  /** The user asked for these, so they stay when another data set is chosen. */
  asked: boolean;
  draft: Draft;
}

/** What was asked for: a saved config, or the run that is cloned. */
export const askedFor = (layout: Layout, from: string, config: Config): Base => ({
  from,
  asked: true,
  draft: draftOf(layout, config),
});

/** The defaults, for a data set. */
export const plain = (layout: Layout, schema: SchemaReply, root: string): Base => ({
  from: null,
  asked: false,
  draft: { ...draftOf(layout, schema.defaults), root },
});

/** What suits a data set: what the server suggests for it, else the newest config saved for it, else the defaults. */
export function suited(layout: Layout, schema: SchemaReply, root: string, configs: ConfigView[]): Base {
  if (root !== '' && schema.start.root === root)
    return { from: schema.start_from, asked: false, draft: draftOf(layout, schema.start) };
  const saved = configs
    .filter(item => root !== '' && item.config.root === root)
    .sort((a, b) => b.updated_at - a.updated_at)[0];
  if (saved) return { from: `“${saved.name}”`, asked: false, draft: draftOf(layout, saved.config) };
  return plain(layout, schema, root);
}

/** A draft on another base: what was typed stays, all else is the new base's. */
export const rebased = (draft: Draft, was: Draft, now: Draft): Draft =>
  Object.fromEntries(
    Object.entries(now).map(([name, value]) => [
      name,
      draft[name] === was[name] ? value : (draft[name] ?? value),
    ]),
  );
