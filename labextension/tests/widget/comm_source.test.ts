// The page's side of a live cell: snapshots, numbered batches, a gap and its repair, answers, and the end.
import { describe, expect, it, vi } from 'vitest';
import type { Batch, RunDetail } from '../../src/views/data/types';
import { CommSource, type Model } from '../../src/widget/comm_source';
import type { Message, Snapshot } from '../../src/widget/messages';

type Handler = (...args: unknown[]) => void;

const RUN = 'r';
const run = (revision: number, state = 'running') => ({ id: RUN, revision, state }) as unknown as RunDetail;

/** Steps 1..n of the training loss, as the kernel packs them. */
function pack(steps: number[]) {
  const columns = [...steps, ...steps.map(s => s / 10), ...steps, ...steps.map(s => (s === 2 ? NaN : 1 / s))];
  return {
    heads: steps.length ? [{ run_id: RUN, tag: 'loss/train', count: steps.length, thinned: false }] : [],
    cursors: { [RUN]: { attempt: 1, seq: steps.at(-1) ?? 0 } },
    points: new DataView(new Float64Array(columns).buffer),
  };
}

class Kernel {
  readonly sent: Record<string, unknown>[] = [];
  readonly handlers = new Map<string, Set<Handler>>();
  snapshot: Snapshot | null = null;

  readonly model = {
    get: (name: string) => (name === 'snapshot' ? this.snapshot : RUN),
    send: (content: Record<string, unknown>) => void this.sent.push(content),
    on: (name: string, handler: Handler) =>
      void (this.handlers.get(name) ?? this.handlers.set(name, new Set()).get(name)!).add(handler),
    off: (name: string, handler: Handler) => void this.handlers.get(name)?.delete(handler),
  } as unknown as Model;

  set(seq: number, steps: number[], state = 'running') {
    this.snapshot = { seq, run: run(seq, state), ...pack(steps) };
    this.handlers.get('change:snapshot')?.forEach(handler => handler());
  }

  post(message: Message, points?: DataView) {
    this.handlers.get('msg:custom')?.forEach(handler => handler(message, points ? [points] : []));
  }

  batch(seq: number, steps: number[], superseded = {}) {
    const { points, ...packed } = pack(steps);
    this.post({ op: 'batch', seq, run: run(seq), superseded, ...packed }, points);
  }
}

function connected() {
  const kernel = new Kernel();
  kernel.set(0, [1, 2]);
  const end = new AbortController();
  const source = new CommSource(kernel.model, end.signal);
  const ask = async () =>
    (await source.query('series', { run_ids: [RUN] }, end.signal)).series.map(series => series.step);
  return { kernel, end, source, ask };
}

describe('CommSource', () => {
  it('gets a picture as a buffer of the answer', async () => {
    const { kernel, source, end } = connected();
    const asked = source.image({ kind: 'run', id: RUN, image: 'a'.repeat(64), size: 128 }, end.signal);
    const { op, id } = kernel.sent.at(-1) as { op: string; id: number };
    expect(op).toBe('picture');
    kernel.post({ op: 'reply', id }, new DataView(new Uint8Array([1, 2, 3]).buffer));
    expect((await asked).size).toBe(3);
  });

  it('answers from the snapshot, without the kernel, which may be busy', async () => {
    const { source, end, kernel } = connected();
    expect((await source.query('run', { id: RUN }, end.signal)).state).toBe('running');
    const { series, cursors } = await source.query(
      'series',
      { run_ids: [RUN], tags: ['loss/train'] },
      end.signal,
    );
    expect(series[0]!.step).toEqual([1, 2]);
    expect(series[0]!.value).toEqual([1, null]);
    expect(cursors[RUN]).toEqual({ attempt: 1, seq: 2 });
    expect(kernel.sent).toEqual([{ op: 'resync' }]);
  });

  it('waits for the first snapshot', async () => {
    const kernel = new Kernel();
    const source = new CommSource(kernel.model, new AbortController().signal);
    const answer = source.query('run', { id: RUN }, new AbortController().signal);
    kernel.set(0, []);
    expect((await answer).id).toBe(RUN);
  });

  it('hands batches on in order and takes none twice', async () => {
    const { kernel, source, end, ask } = connected();
    const batches: Batch[] = [];
    const keep = (batch: Batch) => void batches.push(batch);
    source.subscribe({ kind: 'metrics', run_ids: [RUN] }, keep, () => undefined, end.signal);
    source.subscribe({ kind: 'runs' }, keep, () => undefined, end.signal);
    kernel.batch(1, [3]);
    kernel.batch(1, [3]);
    expect(batches.map(batch => batch.kind)).toEqual(['runs', 'metrics']);
    expect(await ask()).toEqual([[1, 2, 3]]);
  });

  it('asks for a snapshot at a gap, holds still, and goes on from it', async () => {
    const { kernel, source, end, ask } = connected();
    const links = vi.fn();
    source.subscribe({ kind: 'metrics', run_ids: [RUN] }, () => undefined, links, end.signal);
    kernel.batch(3, [5]);
    expect(kernel.sent.at(-1)).toEqual({ op: 'resync' });
    expect(await ask()).toEqual([[1, 2]]);
    kernel.set(3, [1, 2, 3, 4, 5]);
    expect(links).toHaveBeenLastCalledWith('gap');
    kernel.batch(4, [6]);
    expect(await ask()).toEqual([[1, 2, 3, 4, 5, 6]]);
  });

  it('takes back what a resumed run walks again', async () => {
    const { kernel, ask } = connected();
    kernel.batch(1, [3, 4]);
    kernel.batch(2, [3], { [RUN]: 2 });
    expect(await ask()).toEqual([[1, 2, 3]]);
  });

  it('ignores a snapshot that it is ahead of', async () => {
    const { kernel, ask } = connected();
    kernel.batch(1, [3]);
    kernel.set(0, [1]);
    expect(await ask()).toEqual([[1, 2, 3]]);
  });

  it('carries questions and commands to the kernel and its sentences back', async () => {
    const { kernel, source, end } = connected();
    const log = source.query('log', { id: RUN }, end.signal);
    const stop = source.command('stop', { id: RUN });
    const [asked, told] = kernel.sent.slice(-2) as { id: number }[];
    kernel.post({ op: 'reply', id: told!.id, error: { message: 'Stop it there.', status: 409 } });
    kernel.post({ op: 'reply', id: asked!.id, result: { text: 'hello' } });
    expect(await log).toEqual({ text: 'hello' });
    await expect(stop).rejects.toThrow('Stop it there.');
  });

  it('says of a command that the kernel has not heard it, and takes its late answer without a word', async () => {
    vi.useFakeTimers();
    try {
      const { kernel, source, end } = connected();
      const stop = source.command('stop', { id: RUN });
      const told = kernel.sent.at(-1) as { id: number };
      vi.advanceTimersByTime(15_000);
      await expect(stop).rejects.toThrow('has not answered yet');
      kernel.post({ op: 'reply', id: told.id, result: null });
      const quick = source.command('stop', { id: RUN });
      kernel.post({ op: 'reply', id: told.id + 1, result: null });
      expect(await quick).toBeNull();
      end.abort();
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it('lets go of the model when the cell is closed', async () => {
    const { kernel, source, end } = connected();
    const log = source.query('log', { id: RUN }, new AbortController().signal);
    end.abort();
    await expect(log).rejects.toThrow('closed');
    expect([...kernel.handlers.values()].every(handlers => handlers.size === 0)).toBe(true);
  });
});

describe('a cell whose kernel has ended', () => {
  it('says that it stands still, and lives again with the next word of the kernel', () => {
    vi.useFakeTimers();
    try {
      const { kernel, source, end } = connected();
      const links = vi.fn();
      source.subscribe({ kind: 'metrics', run_ids: [RUN] }, () => undefined, links, end.signal);
      for (let i = 0; i < 4; i++) {
        vi.advanceTimersByTime(5000);
        kernel.post({ op: 'alive' }); // nothing is new, and it lives
      }
      expect(links).toHaveBeenLastCalledWith('live');
      vi.advanceTimersByTime(20_000);
      expect(links).toHaveBeenLastCalledWith('still');
      const late = vi.fn();
      source.subscribe({ kind: 'runs' }, () => undefined, late, end.signal);
      expect(late).toHaveBeenLastCalledWith('still');
      kernel.batch(1, [3]);
      expect(links).toHaveBeenLastCalledWith('live');
      kernel.set(9, [1, 2, 3], 'succeeded');
      links.mockClear();
      vi.advanceTimersByTime(60_000); // nothing more will come of a run that has ended
      expect(links).not.toHaveBeenCalled();
      end.abort();
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});
