// Trying a model: one image after the other, what is waited for, and how one gives up.
import { act } from 'react';
import { expect, it } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import { TryModel } from '../../src/views/evaluation/try_model';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();

/** A source whose answers to `predict` wait until the test gives them. */
class Slow extends FakeSource {
  readonly sent: { name: string; signal: AbortSignal; answer: (top: string) => void }[] = [];

  override command = async (_name: string, args: unknown, signal?: AbortSignal): Promise<never> =>
    new Promise(resolve => {
      const { name } = args as { name: string };
      const reply = (top: string) => ({
        name,
        top: [{ name: top, prob: 0.9 }],
        abstains: false,
        seconds: 0.02,
      });
      this.sent.push({ name, signal: signal!, answer: top => resolve(reply(top) as never) });
    });
}

async function drop(names: string[]): Promise<Slow> {
  const source = new Slow({
    evaluation: () => ({ class_names: ['cat', 'dog'] }),
    inference: () => ({ phase: 'loading', seconds: 6.4 }),
  });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <TryModel id="r1" />
      </SourceProvider>,
    ),
  );
  const input = host.querySelector<HTMLInputElement>('input[type=file]')!;
  const files = names.map(name => new File(['x'], name, { type: 'image/png' }));
  Object.defineProperty(input, 'files', { value: files });
  await act(async () => void input.dispatchEvent(new Event('change', { bubbles: true })));
  return source;
}

const texts = () => [...host.querySelectorAll('[role=status]')].map(item => item.textContent);
const cancel = (at: number) =>
  act(async () => [...host.querySelectorAll('button')].filter(b => b.textContent === 'Cancel')[at]!.click());

it('sends one image at a time and says what each waits for', async () => {
  const source = await drop(['1.png', '2.png']);
  expect(source.sent.map(({ name }) => name)).toEqual(['1.png']);
  expect(texts()).toEqual(['waits for 1 image before it…', 'starting: loading the model, 6 s']);
  await act(async () => source.sent[0]!.answer('cat'));
  expect(source.sent.map(({ name }) => name)).toEqual(['1.png', '2.png']);
  expect(host.textContent).toContain('cat');
});

it('gives up the image that is on its way, and goes on with the next', async () => {
  const source = await drop(['1.png', '2.png', '3.png']);
  await cancel(2); // the oldest stands last
  expect(source.sent[0]!.signal.aborted).toBe(true);
  expect(source.sent.map(({ name }) => name)).toEqual(['1.png', '2.png']);
  await cancel(0);
  expect(texts()).toHaveLength(1);
});
