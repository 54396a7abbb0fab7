import { describe, expect, it } from 'vitest';
import { lineOf } from '../../src/views/ui/series_line';
import { SeriesStore } from '../../src/views/data/series_store';
import { aSeries } from '../fake';

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

it('has one time for all series of a run, as the wire gives it', () => {
  const store = new SeriesStore();
  const early = { ...aSeries('loss/train', [1, 2]), time: [3, 4] };
  const late = { ...aSeries('metric/accuracy', [2]), time: [5] };
  store.reset({ series: [early, late], cursors: {} });
  const times = (tag: string) => lineOf(store, 'r1', tag, 'time', { label: tag, colour: 0 }).x;
  expect([times('loss/train'), times('metric/accuracy')]).toEqual([[3, 4], [5]]);
});

describe('points as they come in', () => {
  it('adds new ones and skips those that the query had', () => {
    const store = new SeriesStore();
    store.reset({ series: [aSeries('loss/train', [1, 2])], cursors: { r1: { attempt: 1, seq: 2 } } });
    store.add({
      kind: 'metrics',
      series: [aSeries('loss/train', [2, 3])],
      cursors: { r1: { attempt: 1, seq: 3 } },
    });
    expect(store.get('r1', 'loss/train')?.step).toEqual([1, 2, 3]);
    expect(store.cursors.r1).toEqual({ attempt: 1, seq: 3 });
  });

  it('takes away what a resume went back over', () => {
    const store = new SeriesStore();
    store.reset({ series: [aSeries('loss/train', [1, 2, 3, 4]), aSeries('lr', [1, 2, 3, 4])], cursors: {} });
    const again = aSeries('loss/train', [3], [30]);
    store.add({ kind: 'metrics', series: [again], cursors: {}, superseded: { r1: 2 } });
    expect(store.get('r1', 'loss/train')?.value).toEqual([1, 2, 30]);
    expect(store.get('r1', 'lr')?.step).toEqual([1, 2]);
  });

  it('does not change the batch that it was given', () => {
    const store = new SeriesStore();
    const first = aSeries('lr', [1]);
    store.add({ kind: 'metrics', series: [first], cursors: {} });
    store.add({ kind: 'metrics', series: [aSeries('lr', [2])], cursors: {} });
    expect(first.step).toEqual([1]);
  });

  it('stays bounded in a tab that is open for days', () => {
    const store = new SeriesStore();
    for (let i = 0; i < 60; i++) {
      const step = range(1000).map(n => i * 1000 + n);
      store.add({ kind: 'metrics', series: [aSeries('lr', step)], cursors: {} });
    }
    const kept = store.get('r1', 'lr')!;
    expect(kept.step.length).toBeLessThan(21_000);
    expect(kept.step[0]).toBe(0);
    expect(kept.step.at(-1)).toBe(59_999);
  });
});
