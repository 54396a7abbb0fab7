import { describe, expect, it, vi } from 'vitest';
import { RUN_TYPE, WIDGET_TYPE } from '../../src/lab/output_types';
import { wordsFor } from '../../src/lab/run_output';
import { StaticCells, markOf, type NotebookModel } from '../../src/lab/static_cells';
import { SourceError } from '../../src/views/data/source';
import type { StaticCell } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';

type Data = Record<string, unknown>;

function output(data: Data) {
  return {
    data,
    metadata: {},
    writes: 0,
    setData(options: { data?: Data }) {
      this.data = options.data ?? this.data;
      this.writes += 1;
    },
  };
}

const runOutput = (id: string, kept: string) =>
  output({
    [RUN_TYPE]: { run_id: id, version: 1, home: '/h', kept },
    [WIDGET_TYPE]: {},
    'text/plain': 'old',
  });

const notebook = (...outputs: ReturnType<typeof output>[]) =>
  ({
    cells: [{}, { outputs: { length: outputs.length, get: (i: number) => outputs[i] } }],
  }) as unknown as NotebookModel;

const cell = (kept: string, text: string): StaticCell => ({
  kept,
  ended: !kept.startsWith('running'),
  data: { 'text/plain': text, 'image/png': 'AAAA' },
  metadata: { 'image/png': { width: 720 } },
});

describe('what a notebook keeps of its cells', () => {
  it('is what the run has become by the time of a save, and at its end without one', async () => {
    let now = cell('running 1 2', 'epoch 2');
    const source = new FakeSource({
      staticCell: () => now,
      runs: () => ({ items: [], counts: {}, owners: [] }),
    });
    const [mine, other] = [runOutput('r1', 'running 1 0'), output({ 'text/plain': 'no run' })];
    const cells = new StaticCells(source, () => notebook(mine, other));
    source.on('runs').push({ kind: 'runs', changed: [aRun({ epoch: 2.5 })], deleted: [] });
    await vi.waitFor(() => expect(source.asked.filter(([kind]) => kind === 'staticCell')).toHaveLength(1));
    await Promise.resolve();
    expect(mine.data['text/plain']).toBe('old'); // a live run makes no notebook dirty
    cells.save();
    expect(mine.data['text/plain']).toBe('epoch 2');
    expect(WIDGET_TYPE in mine.data).toBe(false); // the server shows it, with or without the kernel
    expect(mine.data[RUN_TYPE]).toMatchObject({ run_id: 'r1', home: '/h', kept: 'running 1 2' });
    cells.save();
    expect(mine.writes).toBe(1); // nothing is new

    now = cell('succeeded 1 10', 'has finished');
    source.on('runs').push({ kind: 'runs', changed: [aRun({ epoch: 10, state: 'succeeded' })], deleted: [] });
    await vi.waitFor(() => expect(mine.data['text/plain']).toBe('has finished'));
    expect(WIDGET_TYPE in mine.data).toBe(false);
    expect(mine.data['image/png']).toBe('AAAA');
    expect(other.writes).toBe(0);
    cells.dispose();
    expect(source.subscriptions).toHaveLength(0);
  });

  it('is asked for when a notebook is opened whose runs went on without it', async () => {
    const source = new FakeSource({
      staticCell: ({ id }: { id: string }) => {
        if (id === 'gone') throw new SourceError('There is no such run.', 404);
        return cell('failed 1 3', `${id} failed`);
      },
      runs: () => ({ items: [], counts: {}, owners: [] }),
    });
    const [done, stale, gone] = [
      runOutput('done', 'succeeded 1 10'),
      runOutput('stale', 'running 1 2'),
      runOutput('gone', 'running 1 2'),
    ];
    const cells = new StaticCells(source, () => notebook(done, stale, gone));
    cells.open();
    await vi.waitFor(() => expect(stale.data['text/plain']).toBe('stale failed'));
    expect([done.writes, gone.writes]).toEqual([0, 0]);
    cells.dispose();
  });

  it('holds the widget of a run only where the server does not know it', async () => {
    const source = new FakeSource({
      staticCell: () => cell('running 1 2', 'epoch 2'),
      runs: () => ({ items: [], counts: {}, owners: [] }),
    });
    const [known, unknown] = [runOutput('r1', 'running 1 2'), runOutput('elsewhere', 'running 1 2')];
    const cells = new StaticCells(source, () => notebook(known, unknown));
    cells.save();
    expect([known.writes, unknown.writes]).toEqual([0, 0]);
    source.on('runs').push({ kind: 'runs', changed: [aRun({ epoch: 2.5 })], deleted: [] });
    await vi.waitFor(() => {
      cells.save();
      expect(WIDGET_TYPE in known.data).toBe(false);
    });
    expect(known.data).toMatchObject({
      [RUN_TYPE]: { run_id: 'r1', kept: 'running 1 2' },
      'text/plain': 'old',
    });
    expect([known.writes, unknown.writes]).toEqual([1, 0]);
    cells.dispose();
  });

  it('has the mark that the server gives', () => {
    expect(markOf(aRun({ state: 'succeeded', attempt: 2, epoch: 7.9999999 }))).toBe('succeeded 2 8');
  });
});

describe('an output whose run the server does not know', () => {
  it('names both homes, or the extension that is off, or that the run was deleted', () => {
    expect(wordsFor('r1', '/a', '/b').live).toMatch(/\/a .*\/b/);
    expect(wordsFor('r1', '/a', '/b').still).toMatch(/saved picture/);
    expect(wordsFor('r1', '/a', null).still).toMatch(/jupyter server extension enable imgcls_lab/);
    expect(wordsFor('r1', '/a', null).live).toBe('');
    expect(wordsFor('r1', '/a', '/a').still).toMatch(/deleted/);
  });
});
