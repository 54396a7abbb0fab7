import { expect, it, vi } from 'vitest';
import { PictureStore } from '../../src/views/data/pictures';
import type { PictureRequest } from '../../src/views/data/asked';
import { SourceError, type Source } from '../../src/views/data/source';

const aRequest = (n: number): PictureRequest => ({ kind: 'dataset', id: 1, image: String(n), size: 128 });

function aStore(answer: (request: PictureRequest, signal: AbortSignal) => Promise<Blob>) {
  vi.useFakeTimers();
  const image = vi.fn(answer);
  return { store: new PictureStore({ image } as unknown as Source), image };
}
const settle = () => vi.advanceTimersByTimeAsync(50);

it('asks for no picture that left the view, and aborts the one under way', async () => {
  const signals: AbortSignal[] = [];
  const { store, image } = aStore((_, signal) => (signals.push(signal), new Promise(() => undefined)));
  const gone = store.show(aRequest(1), () => undefined);
  gone();
  await settle();
  expect(image).not.toHaveBeenCalled();
  const leave = store.show(aRequest(2), () => undefined);
  await settle();
  leave();
  expect(signals.map(signal => signal.aborted)).toEqual([true]);
});

it('keeps what was shown and revokes the oldest', async () => {
  const { store, image } = aStore(async () => new Blob(['x'.repeat(1_000_000)]));
  const revoke = vi.spyOn(URL, 'revokeObjectURL');
  for (let n = 0; n < 60; n++) {
    const leave = store.show(aRequest(n), () => undefined);
    await settle();
    leave();
  }
  expect(image).toHaveBeenCalledTimes(60);
  expect(revoke).toHaveBeenCalledTimes(12); // 48 MB stay
  expect(store.picture(aRequest(59)).url).toBeTruthy();
  expect(store.picture(aRequest(0)).url).toBeUndefined();
});

it('says why a picture is not there', async () => {
  const { store } = aStore(async () => Promise.reject(new SourceError('The file was replaced.', 410)));
  const changed = vi.fn();
  store.show(aRequest(1), changed);
  await settle();
  expect(changed).toHaveBeenCalled();
  expect(store.picture(aRequest(1)).error).toBe('The file was replaced.');
});
