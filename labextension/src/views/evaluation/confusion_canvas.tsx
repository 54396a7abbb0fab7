// The confusion matrix of many classes as a picture: the wheel zooms, a drag moves, a click shows the images of a cell.
// Those who use keys choose from the list of confused pairs beside it.
import { useEffect, useMemo, useRef, useState, type PointerEvent } from 'react';
import { onResize } from '../ui/on_resize';
import type { Evaluation } from '../data/types';
import { coloursAt, onTheme } from '../ui/theme';
import { imagesAt, matrixOf, type Matrix } from './confusion';
import '../ui/button.css';
import './confusion_canvas.css';

interface Window {
  /** The first row and column that show, and how many. */
  row: number;
  column: number;
  span: number;
}

interface Props {
  view: Evaluation;
  label: string | undefined;
  predicted: string | undefined;
  onCell: (label: string, predicted: string) => void;
}

const CLICK = 4; // px that the pointer may move in a click
const LEAST = 8; // classes of the closest view

/** A window of `span` classes that lies within the matrix. */
export function clamped({ row, column, span }: Window, size: number): Window {
  const most = Math.min(size, Math.max(Math.min(LEAST, size), span));
  const within = (at: number) => Math.min(size - most, Math.max(0, at));
  return { row: within(row), column: within(column), span: most };
}

function paint(
  canvas: HTMLCanvasElement,
  matrix: Matrix,
  window: Window,
  marked: [number, number] | null,
): void {
  const context = canvas.getContext('2d');
  if (!context) return;
  const scale = devicePixelRatio || 1;
  const side = canvas.clientWidth;
  canvas.width = canvas.height = Math.round(side * scale);
  context.scale(scale, scale);
  const colours = coloursAt(canvas);
  const cell = side / window.span;
  const place = new Map(matrix.names.map((name, i) => [name, i]));
  context.fillStyle = colours.background;
  context.fillRect(0, 0, side, side);
  context.strokeStyle = colours.line;
  context.beginPath(); // the diagonal, where what is right lies
  context.moveTo(-window.column * cell, -window.row * cell);
  context.lineTo((matrix.names.length - window.column) * cell, (matrix.names.length - window.row) * cell);
  context.stroke();
  const size = Math.max(cell - (cell > 6 ? 1 : 0), 1.5); // a single image of thousands still shows
  for (const [label, row] of matrix.rows) {
    const i = place.get(label)! - window.row;
    if (i < -1 || i > window.span) continue;
    const total = matrix.totals.get(label) || 1;
    for (const [predicted, images] of row) {
      const j = place.get(predicted)! - window.column;
      if (j < -1 || j > window.span) continue;
      context.globalAlpha = Math.min(1, 0.3 + 0.7 * Math.sqrt(images / total));
      context.fillStyle = label === predicted ? colours.series[2]! : colours.series[4]!;
      context.fillRect(j * cell, i * cell, size, size);
      if (cell < 22) continue;
      context.globalAlpha = 1;
      context.fillStyle = colours.text;
      context.fillText(String(images), j * cell + 3, i * cell + cell / 2 + 4);
    }
  }
  context.globalAlpha = 1;
  if (marked) {
    context.strokeStyle = colours.series[0]!;
    context.lineWidth = 2;
    context.strokeRect((marked[1] - window.column) * cell, (marked[0] - window.row) * cell, size, size);
  }
}

export function ConfusionCanvas({ view, label, predicted, onCell }: Props) {
  const matrix = useMemo(() => matrixOf(view), [view]);
  const { names } = matrix;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [window, setWindow] = useState<Window>({ row: 0, column: 0, span: names.length });
  const [over, setOver] = useState<[number, number] | null>(null);
  const drag = useRef<{ x: number; y: number; from: Window; moved: boolean } | null>(null);
  useEffect(() => {
    const marked: [number, number] | null =
      label !== undefined && predicted !== undefined
        ? [names.indexOf(label), names.indexOf(predicted)]
        : null;
    const stop = new AbortController();
    const draw = () => canvas.current && paint(canvas.current, matrix, window, marked);
    draw();
    onTheme(draw, stop.signal);
    stop.signal.addEventListener('abort', onResize(canvas.current!, draw));
    return () => stop.abort();
  }, [matrix, names, window, label, predicted]);
  useEffect(() => {
    // React's wheel listener is passive: the page would scroll, too
    const stop = new AbortController();
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const box = canvas.current!.getBoundingClientRect();
      const [u, v] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      setWindow(was => {
        const span = was.span * (event.deltaY > 0 ? 1.25 : 0.8);
        const next = Math.min(names.length, Math.max(Math.min(LEAST, names.length), span));
        const lost = was.span - next; // what is under the pointer stays there
        return clamped({ row: was.row + lost * v, column: was.column + lost * u, span: next }, names.length);
      });
    };
    canvas.current!.addEventListener('wheel', onWheel, { passive: false, signal: stop.signal });
    return () => stop.abort();
  }, [names]);
  const cellAt = (event: PointerEvent): [number, number] => {
    const box = canvas.current!.getBoundingClientRect();
    const at = (fraction: number, first: number) =>
      Math.min(names.length - 1, Math.max(0, Math.floor(first + fraction * window.span)));
    return [
      at((event.clientY - box.top) / box.height, window.row),
      at((event.clientX - box.left) / box.width, window.column),
    ];
  };
  const onMove = (event: PointerEvent<HTMLCanvasElement>) => {
    setOver(cellAt(event));
    const start = drag.current;
    if (!start) return;
    const [dx, dy] = [event.clientX - start.x, event.clientY - start.y];
    start.moved ||= Math.hypot(dx, dy) > CLICK;
    const perPixel = start.from.span / canvas.current!.clientWidth;
    if (start.moved)
      setWindow(
        clamped(
          { ...start.from, row: start.from.row - dy * perPixel, column: start.from.column - dx * perPixel },
          names.length,
        ),
      );
  };
  const named = over && ([names[over[0]]!, names[over[1]]!] as const);
  return (
    <div className="imgcls-confusion-canvas">
      <canvas
        ref={canvas}
        role="img"
        aria-label={`Confusion matrix of ${names.length} classes; the list beside it has the most confused pairs`}
        onPointerDown={event => {
          event.currentTarget.setPointerCapture(event.pointerId);
          drag.current = { x: event.clientX, y: event.clientY, from: window, moved: false };
        }}
        onPointerMove={onMove}
        onPointerUp={event => {
          const start = drag.current;
          drag.current = null;
          if (!start || start.moved) return;
          const [i, j] = cellAt(event);
          onCell(names[i]!, names[j]!);
        }}
        onPointerLeave={() => setOver(null)}
      />
      <p className="imgcls-muted imgcls-num imgcls-clip">
        {named
          ? `true ${named[0]}, predicted ${named[1]}: ${imagesAt(matrix, named[0], named[1])}`
          : 'the wheel zooms, a drag moves, a click shows the images'}
        {window.span < names.length && (
          <button
            type="button"
            className="imgcls-plain"
            onClick={() => setWindow({ row: 0, column: 0, span: names.length })}
          >
            show all
          </button>
        )}
      </p>
    </div>
  );
}
