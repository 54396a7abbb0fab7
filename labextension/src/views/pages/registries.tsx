// The registries: data sets, models, configs and projects. Each is listed, added to, edited and deleted alike; what
// sets them apart is written in SHELVES.
import { Fragment, useState, type ReactNode } from 'react';
import { ConfirmButton } from '../ui/confirm_button';
import { Labelled } from '../forms/fields';
import { ago, count, plural } from '../ui/format';
import { useAction, useQuery } from '../data/hooks';
import { RegisterFolder } from '../forms/register_dataset';
import { useGo } from '../ui/navigation';
import { change } from '../data/registry_changes';
import { useSource, type Registry, type Shelf } from '../data/source';
import { Button, Problem } from '../ui/states';
import { Tabs } from '../ui/tabs';
import type { Config, Dataset, Model, Project } from '../data/types';

interface Input {
  name: string;
  title: string;
  note?: string;
  kind?: 'text' | 'area' | 'json' | 'switch' | 'number';
  optional?: boolean;
}

interface ShelfPlan<S extends Shelf> {
  title: string;
  one: string;
  add: string;
  inputs: Input[];
  columns: [title: string, show: (item: Registry[S]['view']) => ReactNode, left?: boolean][];
  problem?: (item: Registry[S]['view']) => string | null;
  notes?: (item: Registry[S]['view']) => string[];
  empty: string;
}

const ABOUT: Input = { name: 'description', title: 'Description', kind: 'area', optional: true };

const datasets: ShelfPlan<'datasets'> = {
  title: 'Data sets',
  one: 'data set',
  add: 'Register a folder…',
  inputs: [{ name: 'name', title: 'Name' }, { name: 'root', title: 'Folder' }, ABOUT],
  columns: [
    ['folder', (item: Dataset) => <span className="imgcls-mono">{item.root}</span>, true],
    ['classes', (item: Dataset) => count(item.classes.length)],
    [
      'images',
      (item: Dataset) =>
        Object.entries(item.images)
          .map(([split, n]) => `${split} ${count(n)}`)
          .join(' · ') || '–',
    ],
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

const models: ShelfPlan<'models'> = {
  title: 'Models',
  one: 'model',
  add: 'Add a model…',
  inputs: [
    { name: 'name', title: 'Name' },
    { name: 'flavour', title: 'Model', note: 'a hub id, or a local folder with a config.json' },
    { name: 'revision', title: 'Revision', note: 'branch, tag or commit', optional: true },
    { name: 'load_pretrained', title: 'Start from its pretrained weights', kind: 'switch' },
    ABOUT,
  ],
  columns: [
    ['model', (item: Model) => <span className="imgcls-mono">{item.flavour}</span>, true],
    ['revision', (item: Model) => item.revision ?? '–'],
    ['starts from', (item: Model) => (item.load_pretrained ? 'pretrained weights' : 'random weights')],
    ['added', (item: Model) => ago(item.created_at)],
  ],
  problem: item => item.problem,
  empty: 'Add the models that you start from, so that forms offer them.',
};

const configs: ShelfPlan<'configs'> = {
  title: 'Configs',
  one: 'config',
  add: 'Add a config…',
  inputs: [
    { name: 'name', title: 'Name' },
    { name: 'config', title: 'Config', note: 'JSON; the new-run form saves one too', kind: 'json' },
    ABOUT,
  ],
  columns: [
    [
      'model',
      (item: Config) => <span className="imgcls-mono">{String(item.config.model_flavour ?? '–')}</span>,
      true,
    ],
    ['epochs', (item: Config) => String(item.config.epochs ?? '–')],
    ['project', (item: Config) => item.project],
    ['changed', (item: Config) => ago(item.updated_at)],
  ],
  empty: 'Fill in a new run and save its config here by a name.',
};

const projects: ShelfPlan<'projects'> = {
  title: 'Projects',
  one: 'project',
  add: 'Add a project…',
  inputs: [
    { name: 'name', title: 'Name' },
    { name: 'max_running', title: 'Runs at once', note: 'empty: no limit', kind: 'number', optional: true },
    ABOUT,
  ],
  columns: [
    ['at once', (item: Project) => (item.max_running == null ? '–' : count(item.max_running))],
    ['runs', (item: Project) => count(item.runs)],
    ['added', (item: Project) => ago(item.created_at)],
  ],
  empty: 'Projects keep runs and configs apart.',
};

const SHELVES: { [S in Shelf]: ShelfPlan<S> } = { datasets, models, configs, projects };
const ORDER: Shelf[] = ['datasets', 'models', 'configs', 'projects'];

type Values = Record<string, string | boolean>;
type AnyItem = Registry[Shelf]['view'] & Record<string, unknown>;

const asText = (input: Input, value: unknown): string | boolean =>
  input.kind === 'switch'
    ? value !== false
    : input.kind === 'json'
      ? JSON.stringify(value ?? {}, null, 2)
      : String(value ?? '');

/** The edit that a form's values mean. Raises SyntaxError, with a sentence, for JSON that is none. */
function editOf(inputs: Input[], values: Values): Record<string, unknown> {
  const edit: Record<string, unknown> = {};
  for (const { name, title, kind } of inputs) {
    const value = values[name];
    if (kind === 'switch') edit[name] = value;
    else if (kind === 'number') edit[name] = value === '' ? null : Number(value);
    else if (kind === 'json') {
      try {
        edit[name] = JSON.parse(String(value));
      } catch (error) {
        throw new SyntaxError(`${title} is not valid JSON: ${(error as Error).message}`, { cause: error });
      }
    } else if (name === 'revision') edit[name] = String(value).trim() || null;
    else edit[name] = name === 'description' ? value : String(value).trim();
  }
  return edit;
}

function ItemForm({
  shelf,
  item,
  onDone,
  onCancel,
}: {
  shelf: Shelf;
  item: AnyItem | null;
  onDone: () => void;
  onCancel: () => void;
}) {
  const source = useSource();
  const plan = SHELVES[shelf];
  const [values, setValues] = useState<Values>(() =>
    Object.fromEntries(plan.inputs.map(input => [input.name, asText(input, item?.[input.name])])),
  );
  const { busy, error, act } = useAction();
  const missing = plan.inputs.some(
    ({ name, kind, optional }) =>
      !optional && kind !== 'switch' && kind !== 'area' && !String(values[name]).trim(),
  );
  const save = async () => {
    const done = await act('save', async () => {
      const edit = editOf(plan.inputs, values) as never;
      if (!item) await change(source, `${shelf}.add`, { edit });
      else {
        const kept = shelf === 'configs' ? { project_id: item.project_id } : {};
        await change(source, `${shelf}.edit`, {
          id: item.id,
          edit: { ...kept, ...(edit as object) } as never,
        });
      }
    });
    if (done) onDone();
  };
  return (
    <form
      className="imgcls-inline-form"
      aria-label={item ? `Edit ${item.name}` : plan.add.replace('…', '')}
      onSubmit={event => {
        event.preventDefault();
        if (!missing) void save();
      }}
    >
      {plan.inputs.map((input, i) =>
        input.kind === 'switch' ? (
          <label key={input.name} className="imgcls-switch">
            <input
              type="checkbox"
              name={input.name}
              checked={values[input.name] === true}
              onChange={e => setValues({ ...values, [input.name]: e.target.checked })}
            />
            {input.title}
          </label>
        ) : (
          <Labelled key={input.name} title={input.title} note={input.note}>
            {id => {
              const shared = {
                id,
                name: input.name,
                value: String(values[input.name]),
                autoFocus: i === 0,
                spellCheck: input.kind === 'area',
                onChange: (e: { target: { value: string } }) =>
                  setValues({ ...values, [input.name]: e.target.value }),
              };
              return input.kind === 'area' || input.kind === 'json' ? (
                <textarea
                  rows={input.kind === 'json' ? 10 : 2}
                  className={input.kind === 'json' ? 'imgcls-mono' : undefined}
                  {...shared}
                />
              ) : (
                <input
                  {...shared}
                  {...(input.kind === 'number' ? { type: 'number', min: 0, step: 1 } : {})}
                />
              );
            }}
          </Labelled>
        ),
      )}
      <Problem>{error}</Problem>
      <div className="imgcls-buttons">
        <Button type="submit" busy={busy !== null} disabled={missing}>
          {item ? 'Save' : 'Add'}
        </Button>
        <Button onClick={onCancel}>Cancel</Button>
      </div>
    </form>
  );
}

function Items({ shelf }: { shelf: Shelf }) {
  const go = useGo();
  const source = useSource();
  const plan = SHELVES[shelf] as unknown as ShelfPlan<Shelf>;
  const { data, error } = useQuery(shelf, {});
  const { data: info } = useQuery('info', {});
  const [editing, setEditing] = useState<number | 'new' | null>(null);
  const { busy, error: failed, act } = useAction();
  const items = data as AnyItem[] | undefined;
  const close = () => setEditing(null);
  const remove = (item: AnyItem) =>
    act(`delete ${item.id}`, () => change(source, `${shelf}.delete`, { id: item.id }));
  const rescan = (item: AnyItem) =>
    act(`rescan ${item.id}`, () => change(source, 'datasets.rescan', { id: item.id }));
  const wide = plan.columns.length + 2;
  return (
    <div className="imgcls-stack">
      <div className="imgcls-filters">
        <p className="imgcls-muted">
          {items?.length === 0 ? plan.empty : items ? plural(items.length, plan.one) : 'Reading…'}
        </p>
        <span className="imgcls-spacer" />
        <Button primary disabled={editing === 'new'} onClick={() => setEditing('new')}>
          {plan.add}
        </Button>
      </div>
      <Problem>{error ?? failed}</Problem>
      {editing === 'new' &&
        (shelf === 'datasets' ? (
          <RegisterFolder datasetsDir={info?.datasets_dir} onDone={close} onCancel={close} />
        ) : (
          <ItemForm shelf={shelf} item={null} onDone={close} onCancel={close} />
        ))}
      {items && items.length > 0 && (
        <div className="imgcls-scroll">
          <table className="imgcls-table">
            <thead>
              <tr>
                <th className="imgcls-left">name</th>
                {plan.columns.map(([title, , left]) => (
                  <th key={title} className={left ? 'imgcls-left' : undefined}>
                    {title}
                  </th>
                ))}
                <th aria-label="Actions" />
              </tr>
            </thead>
            <tbody>
              {items.map(item => {
                const problem = plan.problem?.(item);
                const notes = plan.notes?.(item) ?? [];
                return editing === item.id ? (
                  <tr key={item.id}>
                    <td colSpan={wide} className="imgcls-left">
                      <ItemForm shelf={shelf} item={item} onDone={close} onCancel={close} />
                    </td>
                  </tr>
                ) : (
                  <Fragment key={item.id}>
                    <tr data-name={item.name} className={notes.length ? 'imgcls-noted' : undefined}>
                      <td className="imgcls-left imgcls-said">
                        <b>{item.name}</b>
                        {typeof item.description === 'string' && item.description && (
                          <div className="imgcls-muted">{item.description}</div>
                        )}
                        {problem && <div className="imgcls-problem">{problem}</div>}
                      </td>
                      {plan.columns.map(([title, show, left]) => (
                        <td key={title} className={left ? 'imgcls-left imgcls-wrap' : 'imgcls-nowrap'}>
                          {show(item)}
                        </td>
                      ))}
                      <td>
                        <div className="imgcls-buttons imgcls-row-buttons">
                          {shelf === 'projects' && (
                            <Button onClick={() => go({ view: 'board', project_id: item.id })}>
                              TensorBoard
                            </Button>
                          )}
                          {shelf === 'datasets' && (
                            <Button
                              busy={busy === `rescan ${item.id}`}
                              title="Look at the folder again: classes, images, what is wrong"
                              onClick={() => void rescan(item)}
                            >
                              Rescan
                            </Button>
                          )}
                          <Button onClick={() => setEditing(item.id)}>Edit</Button>
                          <ConfirmButton
                            label="Delete…"
                            question={
                              shelf === 'datasets' || shelf === 'models'
                                ? 'Forget it? Its files stay.'
                                : `Delete this ${plan.one}?`
                            }
                            busy={busy === `delete ${item.id}`}
                            onConfirm={() => void remove(item)}
                          />
                        </div>
                      </td>
                    </tr>
                    {notes.length > 0 && (
                      <tr>
                        <td colSpan={wide} className="imgcls-left">
                          {notes.map(note => (
                            <div key={note} className="imgcls-note">
                              {note}
                            </div>
                          ))}
                        </td>
                      </tr>
                    )}
                  </Fragment>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

export function LibraryPage({ shelf = 'datasets' }: { shelf?: Shelf }) {
  const [open, setOpen] = useState<Shelf>(shelf);
  return (
    <div className="imgcls-page">
      <header className="imgcls-page-head">
        <h1>Library</h1>
      </header>
      <Tabs
        label="Registries"
        names={ORDER}
        open={open}
        onOpen={setOpen}
        title={name => SHELVES[name].title}
        listClass="imgcls-page-tabs"
      >
        <Items key={open} shelf={open} />
      </Tabs>
    </div>
  );
}
