// Marks on the x axis of a chart, behind its lines: a dashed line, and its text where there is room for it.
import type uPlot from 'uplot';
import type { Colours } from './theme';

export interface Mark {
  x: number;
  text: string;
}

const LINE = 13; // px of a line of text
const TALL = 120; // px of a drawing that has room for texts
const SIDE = 4; // px between a line and its text

/** The mark that is closest to an x, and closer than `near`. */
export function markNear(marks: readonly Mark[], x: number, near: number): Mark | undefined {
  const close = marks.filter(mark => Math.abs(mark.x - x) <= near);
  return close.sort((one, other) => Math.abs(one.x - x) - Math.abs(other.x - x))[0];
}

/** Where the texts of marks stand: the row of each from the top, or none where all rows are taken. */
export function rowsOf(places: readonly { left: number; width: number }[], rows: number): (number | null)[] {
  const ends = Array.from({ length: rows }, () => -Infinity);
  return places.map(({ left, width }) => {
    const row = ends.findIndex(end => end < left);
    if (row < 0) return null;
    ends[row] = left + width;
    return row;
  });
}

export function drawMarks(plot: uPlot, marks: readonly Mark[], colours: Colours, font: string): void {
  const { ctx, bbox } = plot;
  const dpr = devicePixelRatio;
  const { min = 0, max = 0 } = plot.scales.x!;
  const shown = marks.filter(mark => mark.x >= min! && mark.x <= max!);
  if (shown.length === 0) return;
  ctx.save();
  ctx.font = font.replace(/^[\d.]+px/, size => `${parseFloat(size) * dpr}px`);
  ctx.textAlign = 'left';
  ctx.textBaseline = 'top';
  const right = bbox.left + bbox.width;
  const placed = shown.map(mark => {
    const at = Math.round(plot.valToPos(mark.x, 'x', true));
    const width = ctx.measureText(mark.text).width + 2 * SIDE * dpr;
    return { mark, at, left: at + width > right ? at - width : at, width };
  });
  const height = bbox.height / dpr;
  const rows = rowsOf(placed, height < TALL ? 0 : Math.floor(height / LINE / 3));
  placed.forEach(({ mark, at, left }, i) => {
    ctx.strokeStyle = colours.muted;
    ctx.lineWidth = dpr;
    ctx.setLineDash([3 * dpr, 3 * dpr]);
    ctx.beginPath();
    ctx.moveTo(at + 0.5, bbox.top);
    ctx.lineTo(at + 0.5, bbox.top + bbox.height);
    ctx.stroke();
    const row = rows[i];
    if (row == null) return;
    const top = bbox.top + row * LINE * dpr;
    ctx.fillStyle = colours.muted;
    ctx.fillText(mark.text, left + SIDE * dpr, top + dpr);
  });
  ctx.restore();
}
