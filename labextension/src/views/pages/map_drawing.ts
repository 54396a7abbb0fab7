// Draws the points of a map into a canvas: each point is a few pixels written into one image, so that 100,000 of them
// take some milliseconds without a graphics processor; rings and the lasso go on top.
import type { Map as FeatureMap } from '../data/types';
import { coloursAt } from '../ui/theme';
import { EXTENT, type Camera, type Point } from './map_points';

const SERIES = 8; // colours of the theme
const RINGS = 3000; // of one kind

/** Colours of the classes as a canvas takes them: the theme's own, then hues a golden angle apart. */
export function classColours(element: HTMLElement, count: number): string[] {
  const { series, text } = coloursAt(element);
  const light = lightness(text) < 0.5; // dark text: a light page
  return Array.from({ length: count }, (_, i) =>
    i < SERIES && count <= SERIES * 2
      ? series[i]!
      : `hsl(${Math.round(i * 137.508) % 360} ${45 + (i % 3) * 12}% ${light ? 38 + (i % 2) * 12 : 58 + (i % 2) * 12}%)`,
  );
}

const channels = (colour: string): [number, number, number] => {
  const probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  if (!probe) return [128, 128, 128];
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  const [r = 0, g = 0, b = 0] = probe.getImageData(0, 0, 1, 1).data;
  return [r, g, b];
};
const lightness = (colour: string): number => {
  const [r, g, b] = channels(colour);
  return (0.3 * r + 0.6 * g + 0.1 * b) / 255;
};

/** A colour as a pixel of ImageData on this machine (little endian everywhere that a browser runs). */
export const pixelOf = (colour: string, alpha = 255): number => {
  const [r, g, b] = channels(colour);
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
};

/** Offsets of a disc's pixels. */
function disc(radius: number): [dx: number, dy: number][] {
  const all: [number, number][] = [];
  const reach = Math.ceil(radius);
  for (let dy = -reach; dy <= reach; dy++)
    for (let dx = -reach; dx <= reach; dx++)
      if (dx * dx + dy * dy <= radius * radius + 0.3) all.push([dx, dy]);
  return all;
}

export interface Look {
  /** Pixel of each class. */
  pixels: Uint32Array;
  /** Pixel of a class that is not looked at. */
  faded: number;
  /** Colours of the rings by kind. */
  rings: Record<string, string>;
  line: string;
}

export interface Scene {
  map: FeatureMap;
  camera: Camera;
  look: Look;
  /** The class that is looked at; null: all. */
  only: number | null;
  rings: readonly string[];
  chosen: ReadonlySet<number> | null;
  lasso: readonly Point[];
}

/** Draw all. `ratio`: pixels of the canvas for one of the page. */
export function draw(canvas: HTMLCanvasElement, scene: Scene, ratio: number): void {
  const context = canvas.getContext('2d');
  if (!context) return;
  const { width, height } = canvas;
  const { map, camera, look, only, chosen } = scene;
  const scale = (camera.size / EXTENT) * ratio;
  const [left, top] = [width / 2 - camera.x * scale, height / 2 - camera.y * scale];
  const image = context.createImageData(width, height);
  const target = new Uint32Array(image.data.buffer);
  const zoom = camera.size / Math.min(width / ratio, height / ratio);
  const base = map.x.length > 30_000 ? 1 : map.x.length > 3000 ? 1.4 : 2;
  const stamp = disc(Math.min(5, base * Math.max(1, Math.sqrt(zoom))) * ratio);
  for (let pass = 0; pass < 2; pass++)
    for (let i = 0; i < map.x.length; i++) {
      const label = map.label[i]!;
      const seen = (only === null || label === only) && (chosen === null || chosen.has(i));
      if (seen !== (pass === 1)) continue; // what is looked at lies on top
      const px = Math.round(map.x[i]! * scale + left);
      const py = Math.round(map.y[i]! * scale + top);
      if (px < -8 || py < -8 || px >= width + 8 || py >= height + 8) continue;
      const pixel = seen ? look.pixels[label]! : look.faded;
      for (const [dx, dy] of stamp) {
        const [x, y] = [px + dx, py + dy];
        if (x >= 0 && y >= 0 && x < width && y < height) target[y * width + x] = pixel;
      }
    }
  context.putImageData(image, 0, 0);
  context.lineWidth = 1.5 * ratio;
  for (const kind of scene.rings) {
    context.strokeStyle = look.rings[kind] ?? look.line;
    context.beginPath();
    for (const i of (map.marked[kind] ?? []).slice(0, RINGS)) {
      const [x, y] = [map.x[i]! * scale + left, map.y[i]! * scale + top];
      context.moveTo(x + 5 * ratio, y);
      context.arc(x, y, 5 * ratio, 0, 2 * Math.PI);
    }
    context.stroke();
  }
  if (scene.lasso.length > 1) {
    context.strokeStyle = look.line;
    context.setLineDash([4 * ratio, 3 * ratio]);
    context.beginPath();
    for (const [x, y] of scene.lasso) context.lineTo(x * scale + left, y * scale + top);
    context.closePath();
    context.stroke();
    context.setLineDash([]);
  }
}
