// What the epochs of a run, and of those it was continued from, said of one image. Pure.
import type { EpochOfImage } from '../data/types';
import type { Curve, Tick } from '../ui/fraction_plot';

/** A change between right and wrong, by the place of the epoch that brought it. */
export interface Turn {
  at: number;
  epoch: number;
  right: boolean;
}

/** A stretch of epochs in which the image was right, or wrong. */
export interface Stretch {
  from: number;
  to: number;
  right: boolean;
}

export const turnsOf = (biography: readonly EpochOfImage[]): Turn[] =>
  biography.flatMap((entry, at) => {
    const before = biography[at - 1];
    return before && before.correct != null && entry.correct != null && before.correct !== entry.correct
      ? [{ at, epoch: entry.epoch, right: entry.correct }]
      : [];
  });

/** The stretches meet halfway between two epochs. */
export function stretchesOf(biography: readonly EpochOfImage[]): Stretch[] {
  const stretches: Stretch[] = [];
  biography.forEach(({ correct }, at) => {
    if (correct == null) return;
    const last = stretches[stretches.length - 1];
    if (last && last.right === correct && last.to >= at - 0.5) last.to = at + 0.5;
    else stretches.push({ from: Math.max(0, at - 0.5), to: at + 0.5, right: correct });
  });
  const end = stretches[stretches.length - 1];
  if (end) end.to = Math.min(end.to, biography.length - 1);
  return stretches;
}

/** Learnt and lost in one sentence. */
export function storyOf(biography: readonly EpochOfImage[]): string {
  const turns = turnsOf(biography);
  const known = biography.filter(entry => entry.correct != null);
  if (known.length === 0) return '';
  const last = turns[turns.length - 1];
  if (!last) return known[0]!.correct ? 'right in every epoch' : 'wrong in every epoch';
  const flips = turns.length === 1 ? 'changed once' : `changed ${turns.length} times`;
  return `${flips}, ${last.right ? 'right' : 'wrong'} since epoch ${last.epoch}`;
}

/** One line a run, this run's in the first colour; a line begins where the one before it ends. */
export function curvesOf(biography: readonly EpochOfImage[], runId: string): Curve[] {
  const runs = [...new Set(biography.map(entry => entry.run_id))];
  return runs.map(run => {
    const places = biography.flatMap((entry, at) => (entry.run_id === run ? [at] : []));
    const first = places[0]!;
    const shown = first > 0 ? [first - 1, ...places] : places;
    return {
      label: run,
      colour: run === runId ? 'series-1' : 'text-muted',
      dim: run !== runId,
      x: shown,
      y: shown.map(at => biography[at]!.label_prob),
    };
  });
}

/** At most seven epochs along the axis, the first and the last among them. */
export function epochTicks(biography: readonly EpochOfImage[]): Tick[] {
  const last = biography.length - 1;
  const step = Math.max(1, Math.ceil(last / 6));
  const places = biography.flatMap((_, at) =>
    at === last || (at % step === 0 && last - at >= step / 2) ? [at] : [],
  );
  return places.map(at => ({ at, text: String(biography[at]!.epoch) }));
}
