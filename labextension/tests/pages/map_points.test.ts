import { expect, it } from 'vitest';
import type { Map as FeatureMap } from '../../src/views/data/types';
import { EXTENT, MapPoints, startOf, zoomed } from '../../src/views/pages/map_points';

const aMap = (places: [number, number][]): FeatureMap => ({
  method: 'pca',
  model: 'vit',
  classes: ['cat'],
  x: places.map(([x]) => x),
  y: places.map(([, y]) => y),
  label: places.map(() => 0),
  split: places.map(() => 0),
  splits: ['train'],
  image: places.map((_, i) => String(i)),
  marked: {},
});

it('finds the nearest point within reach, over the borders of its cells, and none beyond', () => {
  const points = new MapPoints(
    aMap([
      [0, 0],
      [683, 683],
      [700, 700],
      [EXTENT, EXTENT],
    ]),
  );
  expect(points.nearest(690, 690, 100)).toBe(1);
  expect(points.nearest(697, 697, 100)).toBe(2);
  expect(points.nearest(EXTENT - 5, EXTENT, 10)).toBe(3);
  expect(points.nearest(30_000, 30_000, 500)).toBe(-1);
});

it('finds the points inside a line that turns inwards', () => {
  const points = new MapPoints(
    aMap([
      [100, 500],
      [500, 100],
      [500, 700],
      [900, 500],
      [2000, 2000],
    ]),
  );
  const line: [number, number][] = [
    [0, 0],
    [1000, 0],
    [1000, 1000],
    [500, 400],
    [0, 1000],
  ];
  expect(points.inside(line)).toEqual([0, 1, 3]);
});

it('keeps what is under the pointer where it is', () => {
  const start = startOf(800, 460);
  const at = (camera: typeof start) => camera.x + ((200 - 400) * EXTENT) / camera.size;
  expect(at(zoomed(start, 3, 200, 100, 800, 460))).toBeCloseTo(at(start), 6);
});
