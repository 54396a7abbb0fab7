// What a curve goes through before it is drawn: smoothing, cutting to the window, thinning to what the pixels show. The
// points come thinned from the server; this is for the width of the drawing alone.

export interface Points {
  x: number[];
  y: (number | null)[];
}

/** The points of a window, and one more at each side, so that lines run to its edges. */
export function within({ x, y }: Points, [low, high]: readonly [number, number]): Points {
  const first = x.findIndex(value => value >= low);
  const behind = x.findIndex(value => value > high);
  const from = first < 0 ? x.length - 1 : first - 1;
  const to = behind < 0 ? x.length : behind + 1;
  return { x: x.slice(Math.max(0, from), to), y: y.slice(Math.max(0, from), to) };
}

/** Min and max of each of `buckets` equal ranges of x, in their order; all points where there are no more than that
 * can show. Extremes and gaps survive, so a spike or a NaN is never thinned away. */
export function decimate(points: Points, buckets: number): Points {
  const { x, y } = points;
  const n = x.length;
  if (n <= buckets * 2 || n < 3) return points;
  const low = x[0]!;
  const span = x[n - 1]! - low || 1;
  const keep: number[] = [0];
  let bucket = 0;
  let least = -1;
  let most = -1;
  let gap = -1;
  const flush = () => {
    const found = [least, most, gap].filter(i => i > 0 && i < n - 1).sort((a, b) => a - b);
    for (const i of found) if (i !== keep[keep.length - 1]) keep.push(i);
    least = most = gap = -1;
  };
  for (let i = 0; i < n; i++) {
    const here = Math.min(buckets - 1, Math.floor(((x[i]! - low) / span) * buckets));
    if (here !== bucket) {
      flush();
      bucket = here;
    }
    const value = y[i];
    if (value == null) gap = i;
    else {
      if (least < 0 || value < y[least]!) least = i;
      if (most < 0 || value > y[most]!) most = i;
    }
  }
  flush();
  keep.push(n - 1);
  return { x: keep.map(i => x[i]!), y: keep.map(i => y[i] ?? null) };
}

/** Exponential moving average, unbiased at the start. `weight` 0: as it is; towards 1: smoother. Gaps stay. */
export function smooth(points: Points, weight: number): Points {
  if (weight <= 0) return points;
  let sum = 0;
  let norm = 0;
  return {
    x: points.x,
    y: points.y.map(value => {
      if (value == null) return null;
      sum = sum * weight + value * (1 - weight);
      norm = norm * weight + (1 - weight);
      return sum / norm;
    }),
  };
}
