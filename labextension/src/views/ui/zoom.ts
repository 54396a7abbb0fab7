// The stretch of a page's x axis that its charts show. It stays while points come in, until the user shows all again.
// Pure, but for the hook that holds it.
import { useCallback, useState } from 'react';
import type { Axis } from '../data/asked';

/** Lowest and highest x shown. */
export type Window = readonly [low: number, high: number];

export interface Zoom {
  /** null: all there is, also what is still to come. */
  window: Window | null;
  set: (window: Window | null) => void;
}

/** One zoom for the charts of a page; another axis shows all. */
export function useZoom(axis: Axis): Zoom {
  const [held, hold] = useState<{ axis: Axis; window: Window | null }>({ axis, window: null });
  const set = useCallback((window: Window | null) => hold({ axis, window }), [axis]);
  return { window: held.axis === axis ? held.window : null, set };
}

const LEAST = 1e-4; // a window is at least this fraction of the whole
const PAN = 0.2; // an arrow moves by this fraction of the window

/** A window inside the whole; null where it would show all of it. */
function inside([low, high]: Window, [first, last]: Window): Window | null {
  const width = Math.max(high - low, (last - first) * LEAST);
  if (!(width < last - first)) return null;
  const from = Math.min(Math.max(low, first), last - width);
  return [from, from + width];
}

/** Where a key leads: + and - zoom about the middle, arrows move, Escape and 0 show all. undefined: not our key. */
export function moved(window: Window | null, whole: Window, key: string): Window | null | undefined {
  const [low, high] = window ?? whole;
  const width = high - low;
  if (key === '+' || key === '=') return inside([low + width / 4, high - width / 4], whole);
  if (!window) return undefined;
  switch (key) {
    case '-':
    case '_':
      return inside([low - width / 2, high + width / 2], whole);
    case 'ArrowLeft':
      return inside([low - width * PAN, high - width * PAN], whole);
    case 'ArrowRight':
      return inside([low + width * PAN, high + width * PAN], whole);
    case 'Escape':
    case '0':
      return null;
    default:
      return undefined;
  }
}
