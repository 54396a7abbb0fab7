import { act } from 'react';
import { beforeEach, expect, it, vi } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { Layout } from '../../src/views/forms/config_form';
import { PasteConfig, configIn } from '../../src/views/forms/paste_config';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();

const layout = {
  fields: new Map([
    ['lr', {}],
    ['epochs', {}],
  ]),
} as unknown as Layout;
const onTake = vi.fn();
let source: FakeSource;

beforeEach(async () => {
  onTake.mockReset();
  source = new FakeSource({
    check: () => ({
      problems: [
        { field: 'learning', message: 'There is no such setting; lr is one.' },
        { field: 'lr', message: 'It must be greater than 0.' },
      ],
    }),
  });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <PasteConfig {...{ layout, onTake }} onCancel={() => undefined} />
      </SourceProvider>,
    ),
  );
});

const fill = () => host.querySelector<HTMLButtonElement>('button')!;
const paste = async (text: string) => {
  const area = host.querySelector('textarea')!;
  await act(async () => {
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value')!.set!.call(area, text);
    area.dispatchEvent(new Event('input', { bubbles: true }));
  });
  await act(async () => fill().click());
};
const choose = async (name: string, content: string, size = content.length) => {
  const input = host.querySelector<HTMLInputElement>('input[type=file]')!;
  const file = { name, size, text: async () => content };
  Object.defineProperty(input, 'files', { configurable: true, value: [file] });
  await act(async () => void input.dispatchEvent(new Event('change', { bubbles: true })));
};

it('finds the config itself, and inside what a run or a saved config is exported as', () => {
  expect(configIn('{"lr": 0.1}')).toEqual({ lr: 0.1 });
  expect(configIn('{"name": "a run", "config": {"lr": 0.1}}')).toEqual({ lr: 0.1 });
});

it('fills the form with what is a setting, also where its value is wrong, and says what is none', async () => {
  await paste('{"lr": -1, "epochs": 3, "learning": 2}');
  expect(onTake).toHaveBeenCalledOnce();
  const [config, misunderstood] = onTake.mock.calls[0]!;
  expect(config).toEqual({ lr: -1, epochs: 3, learning: 2 });
  expect(misunderstood).toEqual(['“learning” was left out. There is no such setting; lr is one.']);
});

it('takes a file, and no larger one than a config can be', async () => {
  await choose('large.json', '{}', 2_000_000);
  expect(host.querySelector('[role=alert]')!.textContent).toContain('large.json');
  expect(fill().disabled).toBe(true);
  await choose('mine.json', '{"lr": 0.5}');
  expect(host.querySelector('[role=alert]')).toBeNull();
  await act(async () => fill().click());
  expect(onTake.mock.calls[0]![0]).toEqual({ lr: 0.5 });
});

it.each(['lr = 0.1', '[1, 2]', '{}', '"text"', 'null'])(
  'refuses %s with a sentence, and asks nobody',
  async text => {
    await paste(text);
    expect(host.querySelector('[role=alert]')!.textContent.length).toBeGreaterThan(10);
    expect(onTake).not.toHaveBeenCalled();
    expect(source.asked).toEqual([]);
  },
);
