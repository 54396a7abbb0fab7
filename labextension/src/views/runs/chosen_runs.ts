// The runs that are chosen in the table, for the host's commands: one home a source.
import type { Source } from '../data/source';
import type { Run } from '../data/types';

class ChosenRuns {
  #runs: readonly Run[] = [];

  readonly current = (): readonly Run[] => this.#runs;

  readonly set = (runs: readonly Run[]): void => {
    this.#runs = runs;
  };
}

const homes = new WeakMap<Source, ChosenRuns>();

export function chosenRunsOf(source: Source): ChosenRuns {
  let home = homes.get(source);
  if (!home) homes.set(source, (home = new ChosenRuns()));
  return home;
}
