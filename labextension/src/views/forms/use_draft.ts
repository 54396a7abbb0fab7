// What the form of a new run holds while one types, and where its values come from.
import { useState } from 'react';
import type { TrainConfig } from '../data/asked';
import type { Config, Model, RunDetail, SchemaReply } from '../data/types';
import { textOf, type Draft, type Layout } from './config_form';
import {
  defaultsForDataset,
  defaultsFromConfig,
  defaultsFromJson,
  defaultsFromRun,
  schemaDefaults,
  suggestedDefaults,
  withNewDefaults,
  type FormDefaults,
} from './form_defaults';

const OF_MODEL = ['model_flavour', 'revision', 'load_pretrained'];

/** A registered model by its flavour or its name. */
export const modelCalled = (text: string, models: Model[]): Model | undefined =>
  models.find(item => item.flavour === text) ?? models.find(item => item.name === text);

export function useDraft(
  layout: Layout,
  schema: SchemaReply,
  /** Whose settings it starts with: a run's, or a saved config's. */
  parent: RunDetail | Config | undefined,
  configs: Config[],
  /** Values that the form begins with in place of the defaults. */
  preset: Draft = {},
  /** The project that the run goes into, whosever settings it has. */
  into?: number,
) {
  const [defaults, setDefaults] = useState<FormDefaults>(() =>
    parent === undefined
      ? suggestedDefaults(layout, schema)
      : 'kind' in parent
        ? defaultsFromRun(layout, parent)
        : defaultsFromConfig(layout, parent),
  );
  const [draft, setDraft] = useState<Draft>(() => ({
    ...defaults.draft,
    ...Object.fromEntries(Object.entries(preset).filter(([name]) => name in defaults.draft)),
  }));
  const [project, setProject] = useState(textOf(into ?? defaults.project));
  const start = (next: FormDefaults, values: Draft = next.draft) => {
    setDefaults(next);
    setDraft(values);
    if (next.project !== null) setProject(String(next.project));
  };
  const root = String(draft.root ?? '');
  const offered = defaultsForDataset(layout, schema, root, configs);
  return {
    draft,
    project,
    setProject,
    /** Whose values these are, as part of a sentence; null: the defaults. */
    from: defaults.from,
    set: (field: string, value: string | boolean) => setDraft(was => ({ ...was, [field]: value })),
    reset: () => start(schemaDefaults(layout, schema, root)),
    load: (config: Config) => start(defaultsFromConfig(layout, config)),
    loadRun: (run: RunDetail) => start(defaultsFromRun(layout, run)),
    /** What it does not name has its default; without a data set or a model those of the form stay. */
    loadJson: (config: TrainConfig) => {
      const defaults = defaultsFromJson(layout, schema, config);
      const kept = ['root', ...('model_flavour' in config ? [] : OF_MODEL)].filter(name => !(name in config));
      start(defaults, {
        ...defaults.draft,
        ...Object.fromEntries(kept.map(name => [name, draft[name] ?? ''])),
      });
    },
    /** Other values that were made for this data set: whose, and how to take them. What was typed stays. */
    offer:
      offered && offered.from !== defaults.from
        ? {
            from: offered.from,
            take: () => start(offered, { ...withNewDefaults(draft, defaults.draft, offered.draft), root }),
          }
        : null,
    /** A model by its flavour or the name that it has in the registry. */
    pickModel: (text: string, models: Model[]) => {
      const known = modelCalled(text, models);
      setDraft(was => ({
        ...was,
        model_flavour: known?.flavour ?? text,
        ...(known ? { load_pretrained: known.load_pretrained, revision: textOf(known.revision) } : {}),
      }));
    },
  };
}

export type DraftState = ReturnType<typeof useDraft>;
