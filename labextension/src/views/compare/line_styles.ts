// How lines of many runs are told apart: each has a colour and a dash of its own, up to 100 of them. Pure; no view.
import { SERIES_COLOURS } from '../ui/theme';

export interface LineStyle {
  /** Index of the series colour. */
  colour: number;
  /** Lengths of strokes and gaps in px; empty: a solid line. */
  dash: readonly number[];
}

const DASHES: readonly (readonly number[])[] = [[], [6, 4], [2, 3], [12, 4, 2, 4], [16, 6]];

/** As many as there are, no two are alike. */
export const STYLES = SERIES_COLOURS * DASHES.length;

/** The style of the run or group at a place: all colours as solid lines first, then again with each dash. */
export const styleAt = (place: number): LineStyle => ({
  colour: place % SERIES_COLOURS,
  dash: DASHES[Math.floor(place / SERIES_COLOURS) % DASHES.length]!,
});
