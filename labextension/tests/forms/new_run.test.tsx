// Whose settings a new run starts from, and what its form offers.
import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NewRun } from '../../src/views/forms/new_run';
import { mutate } from '../../src/views/data/mutate';
import { SourceError, SourceProvider } from '../../src/views/data/source';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import { NO_PREFERENCES, PreferencesProvider, PreferenceStore } from '../../src/views/ui/preferences';
import type { ReplicatesRequest, SchemaReply } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';

const field = (title: string, group: string, rest: object = {}) => ({
  title,
  group,
  type: 'string',
  default: '',
  first: true,
  ...rest,
});
const schema: SchemaReply = {
  json_schema: {
    properties: {
      root: field('Data set', 'data'),
      model_flavour: field('Model', 'model', { suggestions: ['microsoft/resnet-50'] }),
      augmentation: field('Augmentation', 'data', { default: 'standard', suggestions: ['none', 'standard'] }),
      hflip: {
        title: 'Mirror images',
        group: 'data',
        first: true,
        default: null,
        anyOf: [{ type: 'boolean' }, { type: 'null' }],
      },
      epochs: field('Epochs', 'schedule', { type: 'integer', default: 10 }),
      lr: field('Learning rate', 'optimisation', { type: 'number', default: 0.1 }),
    },
  },
  groups: {},
  start: { root: '/digits', model_flavour: '/tiny', augmentation: 'none', hflip: false, epochs: 8 },
  start_from: '“digits demo”',
  start_project_id: null,
  defaults: { root: '', model_flavour: '', augmentation: 'standard', hflip: null, epochs: 10 },
};
const project = (name: string, id: number) => ({
  id,
  name,
  description: '',
  runs: 0,
  max_running: null,
  may_change: true,
  created_at: 1,
});
const dataset = (name: string, id: number) => ({
  id,
  name,
  root: `/${name}`,
  description: '',
  created_at: 1,
  classes: ['a', 'b'],
  images: { train: 2 },
  smallest_class: 1,
  largest_class: 1,
  problem: null,
  notes: [],
  skipped_files: {},
});
const saved = (name: string, root: string, epochs: number) => ({
  id: 7,
  name,
  project_id: 2,
  config: { ...schema.defaults, root, model_flavour: 'm', epochs },
  created_at: 1,
  updated_at: 1,
});

let host: HTMLElement;
let root: Root;
let source: FakeSource;

beforeEach(() => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  host = document.body.appendChild(document.createElement('div'));
  root = createRoot(host);
  source = new FakeSource({
    schema: () => schema,
    datasets: () => ['digits', 'flowers', 'pets'].map(dataset),
    configs: () => [saved('my pets', '/pets', 5)],
    models: () => [],
    projects: () => [project('default', 1), project('zoo', 2)],
    check: () => ({ problems: [], facts: {}, steps: null, lr_curve: null }),
    run: () => ({ ...aRun({ name: 'old' }), config: { ...schema.start, epochs: 3 } }),
    submit: () => aRun(),
  });
});
afterEach(() => {
  act(() => root.unmount());
  host.remove();
});

const show = (props: Parameters<typeof NewRun>[0] = {}) =>
  act(async () =>
    root.render(
      <SourceProvider value={source}>
        <NewRun {...props} />
      </SourceProvider>,
    ),
  );
const control = (name: string) => host.querySelector<HTMLInputElement>(`[name="${name}"]`)!;
const values = () =>
  Object.fromEntries(
    ['root', 'model_flavour', 'augmentation', 'hflip', 'epochs'].map(n => [n, control(n).value]),
  );
const choose = (name: string, value: string) =>
  act(async () => {
    const select = host.querySelector<HTMLSelectElement>(`select[name="${name}"]`)!;
    select.value = value;
    select.dispatchEvent(new Event('change', { bubbles: true }));
  });
const type = (name: string, value: string) =>
  act(async () => {
    const input = control(name);
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(input, value);
    input.dispatchEvent(new Event('input', { bubbles: true }));
  });
/** Let time pass until it holds: the form asks the server when typing rests. */
const until = async (holds: () => boolean) => {
  for (let round = 0; !holds() && round < 40; round += 1)
    await act(async () => new Promise(done => setTimeout(done, 100)));
};
const offer = () => host.querySelector('[data-offer]')?.textContent ?? null;
const base = () => host.querySelector('[data-base]')?.textContent ?? null;
const button = (text: string) =>
  [...host.querySelectorAll('button')].find(item => item.textContent === text)!;

describe('the settings of a new run', () => {
  it('are the demo’s for the demo, and say so', async () => {
    await show();
    expect(values()).toEqual({
      root: '/digits',
      model_flavour: '/tiny',
      augmentation: 'none',
      hflip: 'false',
      epochs: '8',
    });
    expect(base()).toBe('Settings from “digits demo” · Reset');
  });

  it('stay where another data set is chosen: the data set alone changes', async () => {
    await show();
    await type('epochs', '77');
    await choose('project', '2');
    const before = values();
    await choose('root', '/flowers');
    expect(values()).toEqual({ ...before, root: '/flowers', epochs: '77' });
    expect(control('project').value).toBe('2');
    expect(base()).toContain('Settings from “digits demo”');
    expect(offer()).toBeNull();
  });

  it('are offered where some were saved for the data, and taken only when asked, with their project', async () => {
    await show();
    await type('epochs', '77');
    await choose('root', '/pets');
    expect(values()).toMatchObject({ root: '/pets', model_flavour: '/tiny', hflip: 'false' });
    expect(offer()).toBe('For this data set there are settings from “my pets” · Use them');
    await act(async () => button('Use them').click());
    expect(values()).toMatchObject({ root: '/pets', model_flavour: 'm', hflip: '', epochs: '77' });
    expect(control('project').value).toBe('2');
    expect([base(), offer()]).toEqual(['Settings from “my pets” · Reset', null]);
    await choose('root', '/digits');
    expect(values()).toMatchObject({ root: '/digits', model_flavour: 'm' });
    expect(offer()).toContain('settings from “digits demo”');
  });

  it('are a run’s where it is cloned, until they are reset', async () => {
    await show({ from: 'r1' });
    expect(base()).toContain('the run “old”');
    await choose('root', '/flowers');
    expect(values()).toMatchObject({ root: '/flowers', model_flavour: '/tiny', epochs: '3' });
    expect(base()).toContain('the run “old”');
    await act(async () => button('Reset').click());
    expect(values()).toMatchObject({ root: '/flowers', model_flavour: '', epochs: '10' });
    expect(base()).toBeNull();
  });

  it('are those that a cloned run trained with in the end, and say what was changed meanwhile', async () => {
    const about = { asked_at: 1, asked_by: 'ada', obeyed_at: 2, epoch: 1, key: '' };
    const change = (number: number, field: string, old: number, now: number, step: number | null) => ({
      ...{ ...about, number, field, old, new: now, step },
    });
    source.answers.run = () => ({
      ...aRun({ name: 'old', state: 'stopped' }),
      config: { ...schema.start, lr: 0.1, epochs: 3 },
      changes: [
        change(1, 'lr', 0.1, 0.05, 4),
        change(2, 'lr', 0.05, 0.01, 9),
        change(3, 'epochs', 3, 30, null), // it had ended before
      ],
    });
    await show({ from: 'r1' });
    expect([control('lr').value, control('epochs').value]).toEqual(['0.01', '3']);
    expect(base()).toBe(
      'Settings from the run “old”, as changed while it trained: Learning rate 0.1 → 0.01 · Reset',
    );
  });

  it('of the last run come with its project', async () => {
    source.answers.schema = () => ({ ...schema, start_from: 'the last run, “a”', start_project_id: 2 });
    await show();
    expect(control('project').value).toBe('2');
  });
});

it('keeps the mark of each field, also while another one cannot be read', async () => {
  source.answers.check = (params: { config: { epochs?: number } }) => ({
    problems: params.config.epochs === 0 ? [{ field: 'epochs', message: 'Must be at least 1.' }] : [],
    facts: {},
    steps: null,
    lr_curve: null,
  });
  await show();
  const marks = () =>
    [...host.querySelectorAll('.imgcls-field .imgcls-problem')].map(item => item.textContent);
  await type('epochs', '0');
  await until(() => marks().length === 1);
  await type('lr', 'fast');
  expect(marks()).toEqual(['Must be at least 1.', '“fast” is not a number.']);
  await act(async () => new Promise(done => setTimeout(done, 500))); // as long as it waits before it asks
  expect(marks()).toEqual(['Must be at least 1.', '“fast” is not a number.']);
  expect(button('Launch').disabled).toBe(true);
});

it('takes up a project that another page has made', async () => {
  await show();
  const names = () => [...control('project').querySelectorAll('option')].map(item => item.textContent);
  expect(names()).toEqual(['default', 'zoo']);
  source.answers['projects.add'] = () => project('new', 3);
  source.answers.projects = () => [project('default', 1), project('zoo', 2), project('new', 3)];
  await act(async () => void mutate(source, 'projects.add', { edit: { name: 'new', description: '' } }));
  expect(names()).toEqual(['default', 'zoo', 'new']);
});

it('offers the names of a registry, and takes one that a plugin gives', async () => {
  await show();
  const select = () => host.querySelectorAll('select');
  const names = [...select()].find(item => item.name === 'augmentation')!;
  expect([...names.options].map(item => item.textContent)).toEqual(['none', 'standard', 'a plugin’s…']);
  await choose('augmentation', '\u0000');
  await type('augmentation', 'mine');
  const last = () =>
    source.asked.filter(([name]) => name === 'check').at(-1)?.[1] as { config: object } | undefined;
  await until(() => (last()?.config as { augmentation?: string })?.augmentation === 'mine');
  expect(last()).toMatchObject({ config: { hflip: false } });
});

it('calls a registered model by its name, and leaves what is being typed as it is', async () => {
  const model = (name: string, flavour: string) => ({
    ...{ id: flavour.length, name, flavour, description: '', revision: null, load_pretrained: false },
    ...{ created_at: 1, problem: null },
  });
  source.answers.models = () => [model('tiny', '/tiny'), model('tiny two', '/tiny2')];
  await show();
  expect(control('model_flavour').value).toBe('tiny');
  const field = control('model_flavour').closest('.imgcls-field')!;
  expect(field.querySelector('.imgcls-hint')!.textContent).toBe('registered: /tiny');
  expect([...field.querySelectorAll('option')].map(item => item.value)).toEqual([
    'tiny',
    'tiny two',
    'microsoft/resnet-50',
  ]);
  await act(async () => control('model_flavour').focus());
  await type('model_flavour', '/tiny2');
  expect(control('model_flavour').value).toBe('/tiny2');
  await type('model_flavour', '/tiny');
  expect(control('model_flavour').value).toBe('/tiny'); // one goes on to type /tiny3
  await type('model_flavour', 'tiny two');
  await act(async () => control('model_flavour').blur());
  expect(control('model_flavour').value).toBe('tiny two');
  await until(() => !button('Launch').disabled);
  await act(async () => host.querySelector('form')!.requestSubmit());
  const [, request] = source.asked.find(([name]) => name === 'submit')!;
  expect(request).toMatchObject({ config: { model_flavour: '/tiny2' }, model_id: 6 });
});

it('is done with once the run is launched', async () => {
  let done = 0;
  await show({ onLaunched: () => void (done += 1) });
  await choose('hflip', 'true');
  await until(() => !button('Launch').disabled);
  await act(async () => host.querySelector('form')!.requestSubmit());
  const [, request] = source.asked.find(([name]) => name === 'submit')!;
  expect(request).toMatchObject({ config: { root: '/digits', hflip: true, epochs: 8 } });
  expect(done).toBe(1);
});

it('asks for all replicates in one request, which is the same one however often it is pressed', async () => {
  let number = 0;
  source.answers.submitReplicates = () => {
    number += 1;
    if (number === 1) throw new SourceError('The database does not answer.', 503);
    return ['r1', 'r2', 'r3'].map(id => aRun({ id }));
  };
  const went: Place[] = [];
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <NavigationProvider value={place => went.push(place)}>
          <NewRun />
        </NavigationProvider>
      </SourceProvider>,
    ),
  );
  await type('replicates', '0');
  expect(host.textContent).toContain('Give a whole number from 1 to 100.');
  await type('replicates', '3');
  expect(host.textContent).toContain('3 runs, seeds 0 to 2');
  await until(() => !button('Launch').disabled);
  const press = () => act(async () => host.querySelector('form')!.requestSubmit());
  await press();
  expect(host.textContent).toContain('The database does not answer.');
  expect(went).toEqual([]);
  await press();
  const asked = source.asked.flatMap(([name, request]) =>
    name === 'submitReplicates' ? [request as ReplicatesRequest] : [],
  );
  expect(asked).toHaveLength(2);
  expect(asked[0]).toMatchObject({ replicates: 3, name: null, config: { root: '/digits' } });
  expect(asked[1]).toEqual(asked[0]); // with its key: the server gives what it has made
  expect(asked[0]!.idempotency_key).toMatch(/^.{8,}$/);
  expect(source.asked.some(([name]) => name === 'submit')).toBe(false);
  expect(went).toEqual([{ view: 'compare', ids: ['r1', 'r2', 'r3'] }]);
});

it('draws the learning rates that the server gives, over the epochs', async () => {
  const chart = () => host.querySelector<HTMLElement>('figure[aria-label="Learning rate"]');
  await show();
  await until(() => source.asked.some(([name]) => name === 'check'));
  expect(chart()).toBeNull();
  source.answers.check = () => ({
    problems: [],
    facts: {},
    steps: { batches_per_epoch: 4, steps_per_epoch: 2, total_steps: 4 },
    lr_curve: { step: [0, 1, 3], lr: [0.5, 1, 0] },
  });
  await type('epochs', '2');
  await until(() => chart() !== null);
  expect(chart()!.dataset.points).toBe('3');
});

describe('what the settings and the file browser say', () => {
  const withProject = (name: string, props: Parameters<typeof NewRun>[0] = {}) => {
    const store = new PreferenceStore();
    store.set({ ...NO_PREFERENCES, project: name });
    return act(async () =>
      root.render(
        <SourceProvider value={source}>
          <PreferencesProvider value={store}>
            <NewRun {...props} />
          </PreferencesProvider>
        </SourceProvider>,
      ),
    );
  };

  it('puts a new run into the default project, and a clone into that of its run', async () => {
    await withProject('zoo');
    expect(control('project').value).toBe('2');
    act(() => root.unmount());
    root = createRoot(host);
    await withProject('zoo', { from: 'r1' });
    expect(control('project').value).toBe('1');
    act(() => root.unmount());
    root = createRoot(host);
    await withProject('gone');
    expect(control('project').value).toBe('1');
  });

  it('starts on a folder of the file browser', async () => {
    const page = { id: 'f', title: 'photos', trail: [], folders: [], root: '/data/photos' };
    source.answers.folderAt = ({ path }: { path: string }) => (path === 'work/photos' ? page : undefined);
    await show({ folder: 'work/photos' });
    expect(control('root').value).toBe('/data/photos');
  });
});
