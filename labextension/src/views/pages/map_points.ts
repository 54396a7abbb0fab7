// The points of a data set's map: where they are on the screen, which one is near, which are inside a line. Pure.
import type { Map as FeatureMap } from '../data/types';

export const EXTENT = 65_535; // coordinates are 0..65535

/** What of the map is seen: the point in the middle, and pixels of the screen for the whole extent. */
export interface Camera {
  x: number;
  y: number;
  size: number;
}

export type Point = readonly [x: number, y: number];

export const startOf = (width: number, height: number): Camera => ({
  x: EXTENT / 2,
  y: EXTENT / 2,
  size: Math.max(40, Math.min(width, height) - 24),
});

/** Zoom so that what is under (px, py) stays there. */
export function zoomed(
  camera: Camera,
  factor: number,
  px: number,
  py: number,
  width: number,
  height: number,
): Camera {
  const size = Math.min(Math.max(camera.size * factor, 60), 400_000);
  const [dx, dy] = [px - width / 2, py - height / 2];
  const shift = EXTENT / camera.size - EXTENT / size;
  return { x: camera.x + dx * shift, y: camera.y + dy * shift, size };
}

const CELLS = 96; // squares an edge by which the nearest point is found

export class MapPoints {
  readonly #map: FeatureMap;
  readonly #start: Uint32Array; // of each cell, in #order
  readonly #order: Uint32Array;

  constructor(map: FeatureMap) {
    this.#map = map;
    const cell = (i: number) => this.#cell(map.x[i]!) + CELLS * this.#cell(map.y[i]!);
    const start = new Uint32Array(CELLS * CELLS + 1);
    for (let i = 0; i < map.x.length; i++) start[cell(i) + 1]! += 1;
    for (let c = 0; c < CELLS * CELLS; c++) start[c + 1]! += start[c]!;
    const next = start.slice();
    this.#order = new Uint32Array(map.x.length);
    for (let i = 0; i < map.x.length; i++) this.#order[next[cell(i)]!++] = i;
    this.#start = start;
  }

  #cell(value: number): number {
    return Math.min(CELLS - 1, Math.max(0, Math.floor((value / (EXTENT + 1)) * CELLS)));
  }

  /** The point nearest to (x, y), at most `reach` away, all in the map's own measure; -1: none. */
  nearest(x: number, y: number, reach: number): number {
    let [best, least] = [-1, reach * reach];
    for (let row = this.#cell(y - reach); row <= this.#cell(y + reach); row++)
      for (let column = this.#cell(x - reach); column <= this.#cell(x + reach); column++) {
        const cell = row * CELLS + column;
        for (let k = this.#start[cell]!; k < this.#start[cell + 1]!; k++) {
          const i = this.#order[k]!;
          const distance = (this.#map.x[i]! - x) ** 2 + (this.#map.y[i]! - y) ** 2;
          if (distance <= least) [best, least] = [i, distance];
        }
      }
    return best;
  }

  /** Points inside a closed line, by the even-odd rule. */
  inside(line: readonly Point[]): number[] {
    const xs = line.map(([x]) => x);
    const ys = line.map(([, y]) => y);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const found: number[] = [];
    for (let i = 0; i < this.#map.x.length; i++) {
      const [x, y] = [this.#map.x[i]!, this.#map.y[i]!];
      if (x < left || x > right || y < top || y > bottom) continue;
      let within = false;
      for (let a = 0, b = line.length - 1; a < line.length; b = a++) {
        const [ax, ay] = line[a]!;
        const [bx, by] = line[b]!;
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
      }
      if (within) found.push(i);
    }
    return found;
  }
}
