// How many runs a launch makes of one config, or of each trial: they differ by their seed alone.
import { MAX_REPLICATES } from '../data/types';
import { count } from '../ui/format';
import { Labelled } from './fields';
import '../ui/inputs.css';

/** As it was typed; null: it is no number of replicates. */
export function replicatesOf(text: string): number | null {
  const number = text.trim() === '' ? 1 : Number(text);
  return Number.isInteger(number) && number >= 1 && number <= MAX_REPLICATES ? number : null;
}

interface Props {
  value: string;
  /** Of the first run, where it is known. */
  seed?: number;
  onChange: (value: string) => void;
}

export function ReplicatesField({ value, seed, onChange }: Props) {
  const number = replicatesOf(value);
  const several = number !== null && number > 1;
  const seeds = seed === undefined ? 'a seed each' : `seeds ${seed} to ${seed + (number ?? 1) - 1}`;
  return (
    <Labelled
      title="Replicates"
      help="Runs with the same settings and another seed each. Where a metric stands, it is their mean ± standard deviation."
      note={several ? `${count(number)} runs, ${seeds}` : undefined}
      problem={number === null ? `Give a whole number from 1 to ${MAX_REPLICATES}.` : undefined}
    >
      {(id, described) => (
        <input
          id={id}
          name="replicates"
          type="number"
          min={1}
          max={MAX_REPLICATES}
          value={value}
          aria-describedby={described}
          aria-invalid={number === null || undefined}
          onChange={e => onChange(e.target.value)}
        />
      )}
    </Labelled>
  );
}
