// The picture of what the model will see, in the form of a new run.
import { act } from 'react';
import { beforeEach, expect, it } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { Layout } from '../../src/views/forms/config_form';
import { VersionsPreview } from '../../src/views/forms/versions_preview';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();

const fieldOf = (name: string, group: string) => [name, { name, group }] as const;
const layout = {
  fields: new Map([fieldOf('augmentation', 'data'), fieldOf('hflip', 'data'), fieldOf('lr', 'optimisation')]),
} as unknown as Layout;
const CONFIG = { augmentation: 'strong', hflip: false, lr: 0.1, model_flavour: 'tiny', seed: 3 };
let source: FakeSource;

beforeEach(() => {
  URL.createObjectURL = () => 'blob:drawn';
  URL.revokeObjectURL = () => undefined;
  source = new FakeSource({ image: () => new Blob(['a picture']) });
});

type Props = Partial<Parameters<typeof VersionsPreview>[0]>;
const show = (props: Props = {}) =>
  act(async () =>
    root.render(
      <SourceProvider value={source}>
        <VersionsPreview
          {...{ layout, dataset: 5, config: CONFIG, valid: true, drawable: true }}
          {...props}
        />
      </SourceProvider>,
    ),
  );
const asked = () => source.asked.filter(([name]) => name === 'image').map(([, request]) => request as object);
/** Let time pass until so many pictures were asked for: one that leaves the view at once is not. */
const until = async (pictures: number) => {
  for (let round = 0; asked().length < pictures && round < 40; round += 1)
    await act(async () => new Promise(done => setTimeout(done, 50)));
  expect(asked().length).toBe(pictures);
};
const press = (key: string) =>
  act(async () => {
    const event = new KeyboardEvent('keydown', { key, bubbles: true });
    host.querySelector('[role=group]')!.dispatchEvent(event);
  });

it('is drawn of what it depends on: another learning rate draws nothing anew, another augmentation does', async () => {
  await show();
  await until(1);
  const drawn = Object.fromEntries(Object.entries(CONFIG).filter(([name]) => name !== 'lr'));
  expect(asked()).toEqual([{ kind: 'versions', id: 5, image: '0', number: 0, seed: 0, config: drawn }]);
  expect(host.querySelector('img')!.getAttribute('src')).toBe('blob:drawn');
  await show({ config: { ...CONFIG, lr: 0.2 } });
  await show({ config: { ...CONFIG, augmentation: 'none' } });
  await until(2);
  expect(asked()[1]).toMatchObject({ config: { augmentation: 'none' } });
});

it('shows other images and draws anew by keys, and none before the first', async () => {
  await show();
  await until(1);
  for (const [pictures, key] of [...['ArrowRight', 'r', 'ArrowLeft'].entries()]) {
    await press(key);
    await until(pictures + 2);
  }
  for (const key of ['ArrowLeft', 'x']) await press(key);
  expect(asked()).toMatchObject([
    { number: 0, seed: 0 },
    { number: 1, seed: 0 },
    { number: 1, seed: 1 },
    { number: 0, seed: 1 },
  ]);
});

it.each([
  [{ valid: false }, 'something is wrong'],
  [{ drawable: undefined }, 'Looking at the data'],
  [{ drawable: false }, 'Not drawn'],
] as [Props, string][])('asks for nothing while %j, and says why', async (props, words) => {
  await show(props);
  expect(host.querySelector('[role=status]')!.textContent).toContain(words);
  expect(asked()).toEqual([]);
});

it('says why it cannot be drawn, and is not there without a registered data set', async () => {
  source.answers.image = () => {
    throw new Error('The image is no image.');
  };
  await show();
  await until(1);
  expect(host.querySelector('[role=alert]')!.textContent).toBe('The image is no image.');
  await show({ dataset: undefined });
  expect(host.textContent).toBe('');
});
