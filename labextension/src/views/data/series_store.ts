// The points of some runs, as queried and then as they come in. Pure bookkeeping: no view, no source.
import type { Cursor, MetricsBatch, Series, SeriesReply } from './types';

const keyOf = (runId: string, tag: string) => `${runId}\n${tag}`;
const MOST = 20_000;

/** Points of our own: the batch they came with belongs to its source. */
const copy = (series: Series): Series => ({
  ...series,
  step: [...series.step],
  epoch: [...series.epoch],
  time: [...series.time],
  value: [...series.value],
});

export class SeriesStore {
  cursors: Record<string, Cursor> = {};
  readonly #series = new Map<string, Series>();
  /** The points of forks until the fork, which are their ancestors'. */
  readonly #past = new Map<string, Series>();

  constructor(reply?: SeriesReply) {
    if (reply) this.reset(reply);
  }

  /** Take a query's answer in place of all that was. */
  reset(reply: SeriesReply): void {
    this.#series.clear();
    this.#past.clear();
    for (const series of reply.inherited ?? []) this.#past.set(keyOf(series.run_id, series.tag), series);
    for (const series of reply.series) this.#series.set(keyOf(series.run_id, series.tag), copy(series));
    this.cursors = { ...reply.cursors };
  }

  /** Add new points. A resume that went back takes the later points of its run away first. */
  add(batch: MetricsBatch): void {
    for (const [runId, step] of Object.entries(batch.superseded ?? {})) this.#cut(runId, step);
    for (const series of batch.series) this.#append(series);
    Object.assign(this.cursors, batch.cursors);
  }

  /** Where a run was on an axis at a step, by its points of a tag: in epochs, or in seconds of its training. */
  placeAt(runId: string, tag: string, axis: 'step' | 'epoch' | 'time', step: number): number | undefined {
    const series = this.get(runId, tag);
    const after = series?.step.findIndex(each => each >= step) ?? -1;
    return after < 0 ? undefined : series?.[axis][after];
  }

  get(runId: string, tag: string): Series | undefined {
    return this.#series.get(keyOf(runId, tag));
  }

  /** What a fork has of its ancestors. */
  pastOf(runId: string, tag: string): Series | undefined {
    return this.#past.get(keyOf(runId, tag));
  }

  #cut(runId: string, step: number): void {
    for (const series of this.#series.values()) {
      if (series.run_id !== runId) continue;
      let end = series.step.length;
      while (end > 0 && series.step[end - 1]! > step) end--;
      for (const column of [series.step, series.epoch, series.time, series.value]) column.length = end;
    }
  }

  #append(more: Series): void {
    const key = keyOf(more.run_id, more.tag);
    const have = this.#series.get(key);
    if (!have) {
      this.#series.set(key, copy(more));
      return;
    }
    const last = have.step[have.step.length - 1] ?? -1;
    for (let i = 0; i < more.step.length; i++) {
      if (more.step[i]! <= last) continue; // came with the query already
      have.step.push(more.step[i]!);
      have.epoch.push(more.epoch[i]!);
      have.time.push(more.time[i]!);
      have.value.push(more.value[i] ?? null);
    }
    if (have.step.length > MOST) this.#halve(key, have);
  }

  /** A tab left open for days: keep every second of the old points, all of the newest quarter. */
  #halve(key: string, series: Series): void {
    const n = series.step.length;
    const keep = (_: unknown, i: number) => i % 2 === 0 || i > n * 0.75;
    this.#series.set(key, {
      ...series,
      step: series.step.filter(keep),
      epoch: series.epoch.filter(keep),
      time: series.time.filter(keep),
      value: series.value.filter(keep),
      thinned: true,
    });
  }
}
