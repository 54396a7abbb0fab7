import { act } from 'react';
import { expect, it } from 'vitest';
import { RegistriesPage } from '../../src/views/pages/registries';
import { folderName } from '../../src/views/forms/export_model';
import { loading } from '../../src/views/forms/export_result';
import { placeText, sizesText } from '../../src/views/ui/model_facts';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import { SourceProvider } from '../../src/views/data/source';
import type { Model } from '../../src/views/data/types';
import { FakeSource, aRunDetail } from '../fake';
import { host, root, stage } from '../stage';

stage();

const aModel = (part: Partial<Model> = {}): Model => ({
  id: 1,
  name: 'resnet',
  owner: 'ada',
  flavour: 'microsoft/resnet-50',
  revision: null,
  load_pretrained: true,
  description: '',
  created_at: 0,
  problem: null,
  facts: {
    place: 'cache',
    architecture: 'ResNetForImageClassification',
    parameters: 25_557_032,
    input_size: [224, 224],
    classes: 1000,
    licence: 'apache-2.0',
    size: 102_600_000,
  },
  made_by: null,
  runs: 3,
  may_change: true,
  ...part,
});
const BEST = aModel({
  id: 2,
  name: 'digits · best',
  flavour: '/home/runs/r1/checkpoints/a001-s00000010',
  facts: { place: 'folder', parameters: 2, licence: 'mit', licence_of: 'org/tiny', size: 9 },
  made_by: { run_id: 'r1', run: 'digits', checkpoint: 'a001-s00000010', step: 10, epoch: 2 },
  runs: 0,
});
const GONE = aModel({ id: 3, name: 'vit', flavour: 'google/vit', facts: { place: 'hub' }, runs: 0 });

async function show(answers: ConstructorParameters<typeof FakeSource>[0], places: Place[] = []) {
  const source = new FakeSource({ models: () => [aModel(), BEST, GONE], ...answers });
  await act(async () => {
    root.render(
      <SourceProvider value={source}>
        <NavigationProvider value={place => void places.push(place)}>
          <RegistriesPage registry="models" />
        </NavigationProvider>
      </SourceProvider>,
    );
  });
  return source;
}

const row = (name: string) => host.querySelector(`tr[data-name="${name}"]`)!;
const button = (text: string, inside: ParentNode = host) =>
  [...inside.querySelectorAll('button')].find(item => item.textContent === text)!;
const click = (item: HTMLElement) => act(async () => item.click());

it('says what each model is, where it came from and which runs began with it', async () => {
  const places: Place[] = [];
  await show({}, places);
  for (const text of ['ResNetForImageClassification', '25.6 M parameters · 224 px · 1,000 classes', '103 MB'])
    expect(row('resnet').textContent!.replaceAll('\u00a0', ' ')).toContain(text);
  expect(row('resnet').textContent).toContain('apache-2.0');
  expect(row('digits · best').textContent).toContain('epoch 2 of digits');
  expect(row('digits · best').textContent).toContain('mit, as tiny');
  expect(row('vit').textContent).toContain('not on this machine');
  expect(button('Export…', row('vit'))).toBeUndefined();
  await click(button('digits', row('digits · best')));
  await click(button('3', row('resnet')));
  expect(places).toMatchObject([
    { view: 'run', id: 'r1' },
    { view: 'runs', list: { where: 'model="microsoft/resnet-50"' } },
  ]);
});

it('offers what lies in the cache of the hub, and says plainly what does not', async () => {
  const source = await show({
    cachedModels: () => [
      { flavour: 'org/tiny', facts: { place: 'cache', parameters: 9, size: 98_000_000 }, registered: null },
    ],
    'models.add': () => aModel(),
  });
  await click(button('Add a model…'));
  const list = host.querySelector('[aria-label="Models from the hub that are on this machine"]')!;
  expect(list.textContent).toContain('98.0 MB');
  await click(list.querySelector('button')!);
  await click(button('Add'));
  expect(source.asked).toContainEqual([
    'models.add',
    { edit: { name: 'tiny', flavour: 'org/tiny', revision: null, load_pretrained: true } },
  ]);
  expect(placeText({ place: 'hub' })).toContain('not on this machine');
  expect(placeText({ place: 'cache', needs: 98_000_000 })).toBe('needs 98.0 MB from the hub');
  expect(placeText({ place: 'folder' })).toBe('on this machine, without weights');
  expect(sizesText({ place: 'folder', input_size: [192, 160] })).toBe('192\u00a0×\u00a0160\u00a0px');
});

it('exports a model into a chosen folder, shows progress, and says where it is and how it is loaded', async () => {
  let state: 'queued' | 'succeeded' = 'queued';
  const page = { id: 'f1', title: 'models', trail: [], folders: [], root: '/models' };
  const source = await show({
    datasets: () => [],
    folders: () => page,
    export: () => aRunDetail({ id: 'e1', state: 'queued' }),
    run: () =>
      aRunDetail({
        id: 'e1',
        state,
        payload: { export: { title: 'digits · best', form: 'hf', out: '/models/production', root: '/d' } },
        latest: { 'export/images': 32, 'export/difference': 1.2e-6, 'export/limit': 1e-4 },
      }),
  });
  await click(button('Export…', row('digits · best')));
  const name = host.querySelector<HTMLInputElement>('[name=folder-name]')!;
  expect(name.value).toBe('digits - best');
  await click(button('Export'));
  expect(source.asked).toContainEqual([
    'export',
    { model_id: 2, form: 'hf', folder: '/models', name: 'digits - best' },
  ]);
  expect(host.textContent).toContain('waits for its turn');
  state = 'succeeded';
  await act(() => new Promise(done => setTimeout(done, 900)));
  expect(host.textContent).toContain('was written to /models/production');
  expect(host.textContent).toContain('32 images: its logits differ from the model’s'.replace('’', "'"));
  expect(host.textContent).toContain('pipeline("image-classification", model="/models/production")');
});

it('names folders and loads as the form asks', () => {
  expect(folderName('../a/b · best')).toBe('a-b - best');
  expect(folderName('.hidden')).toBe('hidden');
  expect(loading({ form: 'onnx', out: '/a "b"' })).toContain('"/a \\"b\\"/model.onnx"');
});
