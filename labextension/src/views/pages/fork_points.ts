// The checkpoint that a context menu was opened at, so that the host's menu can offer to fork from it: the run's page says
// which it is, and hears when it is asked to. One home a source.
import type { Source } from '../data/source';
import type { Checkpoint, RunDetail } from '../data/types';
import { count } from '../ui/format';

/** A place to fork from. `text`: as a menu says it. */
interface ForkPoint {
  run: string;
  checkpoint: string;
  text: string;
}

/** Where the host's menu has its item: what stands for a place to fork from. */
export const FORK_POINTS = '.imgcls-run [data-menu=fork]';

class ForkPoints {
  #pointed: ForkPoint | null = null;
  readonly #listeners = new Set<(point: ForkPoint) => void>();

  readonly pointed = (): ForkPoint | null => this.#pointed;

  /** A context menu is about to open there. */
  readonly point = (run: RunDetail, item: Checkpoint): void => {
    this.#pointed = { run: run.id, checkpoint: item.name, text: textOf(run, item) };
  };

  /** Call `heard` with a checkpoint of the run when it is to be forked from that, until the returned function is called. */
  readonly listen = (run: string, heard: (checkpoint: string) => void): (() => void) => {
    const listener = (point: ForkPoint) => point.run === run && heard(point.checkpoint);
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  /** The item was chosen. */
  readonly ask = (): void => {
    for (const listener of this.#listeners) if (this.#pointed) listener(this.#pointed);
  };
}

const homes = new WeakMap<Source, ForkPoints>();

export function forkPointsOf(source: Source): ForkPoints {
  let home = homes.get(source);
  if (!home) homes.set(source, (home = new ForkPoints()));
  return home;
}

/** "epoch 4"; of a checkpoint that is not known to stand between two epochs, its step. */
const textOf = (run: RunDetail, { step, epoch }: Checkpoint): string =>
  step * (run.epochs ?? 0) === epoch * (run.total_steps ?? -1)
    ? `epoch ${count(epoch)}`
    : `step ${count(step)}`;

/** The kept checkpoint that is closest to an x. `at`: where a checkpoint is on that axis, if that is known. */
export function nearestCheckpoint(
  items: readonly Checkpoint[],
  x: number,
  at: (item: Checkpoint) => number | undefined,
): Checkpoint | undefined {
  const far = (item: Checkpoint) => Math.abs((at(item) ?? Infinity) - x);
  return [...items].sort((one, other) => far(one) - far(other))[0];
}
