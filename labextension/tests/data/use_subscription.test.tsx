import { act } from 'react';
import { expect, it } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { LogChunk } from '../../src/views/data/types';
import { useLog } from '../../src/views/data/use_log';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();

const chunk = (text: string, end: number): LogChunk => ({ text, offset: end - text.length, end, size: end });
const batch = (text: string, end: number) => ({
  kind: 'log' as const,
  run_id: 'r1',
  chunk: chunk(text, end),
});

function Log({ id, active }: { id: string; active: boolean }) {
  const { log, error } = useLog(id, active);
  return <p>{error ?? log?.text}</p>;
}

const show = (source: FakeSource, active = true, id = 'r1') =>
  act(async () =>
    root.render(
      <SourceProvider value={source}>
        <Log id={id} active={active} />
      </SourceProvider>,
    ),
  );

it('goes on from where the answer ends, and takes nothing twice', async () => {
  const source = new FakeSource({ log: () => chunk('ab', 2) });
  await show(source);
  const topic = source.on('log');
  expect(topic.topic).toEqual({ kind: 'log', run_id: 'r1', offset: 2 });
  await act(async () => topic.push(batch('ab', 2)));
  await act(async () => topic.push(batch('cd', 4)));
  expect(host.textContent).toBe('abcd');
});

it('asks again after a gap, and shows the last data until the answer is there', async () => {
  let answer = Promise.resolve(chunk('ab', 2));
  const source = new FakeSource({ log: () => answer });
  await show(source);
  let give: (chunk: LogChunk) => void = () => undefined;
  answer = new Promise(resolve => (give = resolve));
  const before = source.on('log');
  await act(async () => before.connection('gap'));
  expect([host.textContent, before.signal.aborted, source.subscriptions.length]).toEqual(['ab', true, 0]);
  await act(async () => give(chunk('xyz', 9)));
  expect(host.textContent).toBe('xyz');
  expect(source.on('log').topic).toMatchObject({ offset: 9 });
});

it('follows nothing that has ended, and lets go of what it followed', async () => {
  const source = new FakeSource({ log: ({ id }: { id: string }) => chunk(id, 2) });
  await show(source, false);
  expect(source.subscriptions).toEqual([]);
  await show(source, true);
  const { signal } = source.on('log');
  await show(source, true, 'r2');
  expect([host.textContent, signal.aborted, source.subscriptions.length]).toEqual(['r2', true, 1]);
  await act(async () => root.render(null));
  expect(source.subscriptions).toEqual([]);
});

it('says why there is no answer', async () => {
  await show(new FakeSource());
  expect(host.textContent).toBe('no answer to log');
});
