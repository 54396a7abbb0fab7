import { describe, expect, it } from 'vitest';
import { ranks } from '../../src/views/live/sweep_matrix';
import { scaleOf } from '../../src/views/live/sweep_scale';
import type { Sweep, Trial } from '../../src/views/data/types';

describe('the results of a sweep', () => {
  const trial = (number: number, value: number | null) => ({ number, value }) as Trial;

  it('are ranked by what is better', () => {
    const view = { trials: [trial(0, 0.2), trial(1, 0.6), trial(2, null)], higher_is_better: true };
    expect([...ranks(view as Sweep)]).toEqual([
      [0, 0],
      [1, 1],
    ]);
    expect([...ranks({ ...view, higher_is_better: false } as Sweep)][0]).toEqual([0, 1]);
  });

  it('stand along orders of magnitude, and words by rank', () => {
    const rates = scaleOf([1e-4, 1e-3, 1e-2]);
    expect(rates.at(1e-3)).toBeCloseTo(0.5);
    expect(rates.ends).toEqual([1e-4, 1e-2]);
    expect(scaleOf(['b', 'a', null]).at('b')).toBe(0.5);
    expect(scaleOf([5, 5]).at(5)).toBe(0.5);
  });
});
