// What sets the registries apart: their words, the inputs of their items' form, the columns of their table.
import { Fragment, type ReactNode } from 'react';
import type { Registries, RegistryName } from '../data/asked';
import type { Config, Dataset, Model, Project } from '../data/types';
import { ago, count } from '../ui/format';
import { PathText } from '../ui/path_text';
import { ModelKind, ModelName, ModelOrigin, ModelRuns } from './model_cells';
import './registry_table.css';

export interface Input {
  name: string;
  title: string;
  note?: string;
  kind?: 'text' | 'area' | 'json' | 'switch' | 'number';
  optional?: boolean;
}

export interface RegistryKind<S extends RegistryName> {
  title: string;
  one: string;
  add: string;
  inputs: Input[];
  columns: [title: string, show: (item: Registries[S]['item']) => ReactNode, left?: boolean][];
  problem?: (item: Registries[S]['item']) => string | null;
  notes?: (item: Registries[S]['item']) => string[];
  empty: string;
}

const DESCRIPTION: Input = { name: 'description', title: 'Description', kind: 'area', optional: true };

/** “train 1,259 · val 269”: a number stays with what it counts. */
const Images = ({ images }: Pick<Dataset, 'images'>) =>
  Object.keys(images).length === 0
    ? '–'
    : Object.entries(images).map(([split, n], place) => (
        <Fragment key={split}>
          {place > 0 && ' · '}
          <span className="imgcls-nowrap">
            {split} {count(n)}
          </span>
        </Fragment>
      ));

const datasets: RegistryKind<'datasets'> = {
  title: 'Data sets',
  one: 'data set',
  add: 'Register a folder…',
  inputs: [{ name: 'name', title: 'Name' }, { name: 'root', title: 'Folder' }, DESCRIPTION],
  columns: [
    ['folder', (item: Dataset) => <PathText path={item.root} />, true],
    ['classes', (item: Dataset) => count(item.classes.length)],
    ['images', (item: Dataset) => <Images images={item.images} />],
    [
      'a class in train',
      (item: Dataset) =>
        item.smallest_class == null
          ? '–'
          : item.smallest_class === item.largest_class
            ? count(item.smallest_class)
            : `${count(item.smallest_class)} to ${count(item.largest_class ?? 0)}`,
    ],
    ['added', (item: Dataset) => ago(item.created_at)],
  ],
  problem: item => item.problem,
  notes: item => item.notes,
  empty:
    'Register a folder with train/CLASS and val/CLASS, or with the classes alone, to train on it by name.',
};

const models: RegistryKind<'models'> = {
  title: 'Models',
  one: 'model',
  add: 'Add a model…',
  inputs: [
    { name: 'name', title: 'Name' },
    { name: 'flavour', title: 'Model', note: 'a hub id, or a local folder with a config.json' },
    { name: 'revision', title: 'Revision', note: 'branch, tag or commit', optional: true },
    { name: 'load_pretrained', title: 'Start from its pretrained weights', kind: 'switch' },
    DESCRIPTION,
  ],
  columns: [
    ['from', (item: Model) => <ModelOrigin model={item} />, true],
    ['what it is', (item: Model) => <ModelKind model={item} />, true],
    ['runs', (item: Model) => <ModelRuns model={item} />],
    ['added', (item: Model) => ago(item.created_at)],
  ],
  problem: item => item.problem,
  empty: 'Add the models that you start from, so that forms offer them.',
};

const configs: RegistryKind<'configs'> = {
  title: 'Configs',
  one: 'config',
  add: 'Add a config…',
  inputs: [
    { name: 'name', title: 'Name' },
    { name: 'config', title: 'Config', note: 'JSON; the new-run form saves one too', kind: 'json' },
    DESCRIPTION,
  ],
  columns: [
    ['model', (item: Config) => <ModelName flavour={String(item.config.model_flavour ?? '')} />, true],
    ['epochs', (item: Config) => String(item.config.epochs ?? '–')],
    ['version', (item: Config) => count(item.version)],
    ['project', (item: Config) => item.project],
    ['changed', (item: Config) => ago(item.updated_at)],
  ],
  empty: 'Fill in a new run and save its config here by a name.',
};

const projects: RegistryKind<'projects'> = {
  title: 'Projects',
  one: 'project',
  add: 'Add a project…',
  inputs: [
    { name: 'name', title: 'Name' },
    { name: 'max_running', title: 'Runs at once', note: 'empty: no limit', kind: 'number', optional: true },
    DESCRIPTION,
  ],
  columns: [
    ['at once', (item: Project) => (item.max_running == null ? '–' : count(item.max_running))],
    ['runs', (item: Project) => count(item.runs)],
    ['added', (item: Project) => ago(item.created_at)],
  ],
  empty: 'Projects keep runs and configs apart.',
};

export const KINDS: { [S in RegistryName]: RegistryKind<S> } = { datasets, models, configs, projects };

/** An item of any registry. */
export type Item = Registries[RegistryName]['item'] & Record<string, unknown>;
