// The map as one looks at it: the wheel zooms, dragging draws around images or moves, the pointer shows an image. By
// keys: + and - zoom, arrows move, 0 shows all.
import { useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent, type PointerEvent } from 'react';
import { onResize } from '../ui/on_resize';
import type { Map as FeatureMap } from '../data/types';
import { Thumbnail } from '../images/thumbnail';
import { count } from '../ui/format';
import { coloursAt, onTheme } from '../ui/theme';
import { classColours, draw, pixelOf, type Look } from './map_drawing';
import { EXTENT, startOf, zoomed, type Camera, type MapPoints, type Point } from './map_points';
import './map_view.css';

const HEIGHT = 460; // CSS pixels
const REACH = 9; // pixels from the pointer to a point

export type Mode = 'select' | 'move';

interface Props {
  datasetId: number;
  map: FeatureMap;
  points: MapPoints;
  mode: Mode;
  only: number | null;
  rings: readonly string[];
  chosen: ReadonlySet<number> | null;
  onChoose: (positions: number[]) => void;
}

/** The colours of the map, read again when the theme changes. */
function useLook(box: React.RefObject<HTMLDivElement | null>, classes: number): Look | null {
  const [look, setLook] = useState<Look | null>(null);
  useLayoutEffect(() => {
    const stop = new AbortController();
    const read = () => {
      const element = box.current;
      if (!element) return;
      const { text, line, series } = coloursAt(element);
      setLook({
        pixels: Uint32Array.from(classColours(element, classes), colour => pixelOf(colour)),
        faded: pixelOf(line, 130),
        rings: {
          label_error: series[4]!,
          outlier: series[1]!,
          copy: text,
          look_alike: text,
          near_duplicate: text,
        },
        line: text,
      });
    };
    read();
    onTheme(read, stop.signal);
    return () => stop.abort();
  }, [box, classes]);
  return look;
}

/** The width of an element in CSS pixels. */
function useWidth(box: React.RefObject<HTMLDivElement | null>): number {
  const [width, setWidth] = useState(600);
  useLayoutEffect(() => {
    const read = () => setWidth(Math.max(100, box.current?.clientWidth ?? 600));
    read();
    return onResize(box.current!, read);
  }, [box]);
  return width;
}

interface Pointed {
  position: number;
  x: number;
  y: number;
}

function Tip({
  map,
  datasetId,
  at,
  width,
}: {
  map: FeatureMap;
  datasetId: number;
  at: Pointed;
  width: number;
}) {
  const { position, x, y } = at;
  const marks = Object.keys(map.marked).filter(kind => map.marked[kind]!.includes(position));
  return (
    <div
      className="imgcls-map-tip"
      role="status"
      style={{
        top: Math.min(y + 14, HEIGHT - 84),
        ...(x > width / 2 ? { right: width - x + 14 } : { left: x + 14 }),
      }}
    >
      <Thumbnail of={{ kind: 'dataset', id: datasetId, image: map.image[position]! }} alt="" edge={64} />
      <div>
        <b>{map.classes[map.label[position]!]}</b>
        <div className="imgcls-muted">{map.splits[map.split[position]!]}</div>
        {marks.length > 0 && (
          <div className="imgcls-muted">{marks.map(kind => kind.replaceAll('_', ' ')).join(', ')}</div>
        )}
      </div>
    </div>
  );
}

export function MapCanvas({ datasetId, map, points, mode, only, rings, chosen, onChoose }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(box);
  const look = useLook(box, map.classes.length);
  const [moved, setMoved] = useState<Camera | null>(null);
  const [lasso, setLasso] = useState<Point[]>([]);
  const [pointed, setPointed] = useState<Pointed | null>(null);
  const drag = useRef<{ x: number; y: number; moves: boolean } | null>(null);
  const camera = moved ?? startOf(width, HEIGHT);
  const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);

  useEffect(() => {
    if (!look) return;
    const frame = requestAnimationFrame(() => {
      if (canvas.current) draw(canvas.current, { map, camera, look, only, rings, chosen, lasso }, ratio);
    });
    return () => cancelAnimationFrame(frame);
  });

  const placeOf = (event: { clientX: number; clientY: number }): [x: number, y: number] => {
    const { left, top } = canvas.current!.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const onMap = (x: number, y: number): Point => [
    camera.x + ((x - width / 2) * EXTENT) / camera.size,
    camera.y + ((y - HEIGHT / 2) * EXTENT) / camera.size,
  ];
  const zoom = (factor: number, x = width / 2, y = HEIGHT / 2) =>
    setMoved(zoomed(camera, factor, x, y, width, HEIGHT));
  const wheel = useRef<(event: WheelEvent) => void>(() => undefined);
  wheel.current = event => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), ...placeOf(event));
  };
  useEffect(() => {
    const element = canvas.current!;
    const listen = (event: WheelEvent) => wheel.current(event);
    element.addEventListener('wheel', listen, { passive: false }); // React's own cannot keep the page from scrolling
    return () => element.removeEventListener('wheel', listen);
  }, []);

  const down = (event: PointerEvent) => {
    const [x, y] = placeOf(event);
    drag.current = { x, y, moves: (mode === 'move') !== event.shiftKey || event.button === 1 };
    canvas.current!.setPointerCapture(event.pointerId);
    setPointed(null);
    if (!drag.current.moves) setLasso([onMap(x, y)]);
  };
  const move = (event: PointerEvent) => {
    const [x, y] = placeOf(event);
    const from = drag.current;
    if (!from) {
      const position = points.nearest(...onMap(x, y), (REACH * EXTENT) / camera.size);
      setPointed(position < 0 ? null : { position, x, y });
    } else if (from.moves) {
      const step = EXTENT / camera.size;
      setMoved({ ...camera, x: camera.x - (x - from.x) * step, y: camera.y - (y - from.y) * step });
      drag.current = { x, y, moves: true };
    } else setLasso(was => [...was, onMap(x, y)]);
  };
  const up = (event: PointerEvent) => {
    const from = drag.current;
    drag.current = null;
    if (!from || from.moves) return;
    const [x, y] = placeOf(event);
    setLasso([]);
    if (lasso.length > 3) onChoose(points.inside(lasso));
    else {
      const position = points.nearest(...onMap(x, y), (REACH * EXTENT) / camera.size);
      onChoose(position < 0 ? [] : [position]);
    }
  };
  const keyDown = (event: KeyboardEvent) => {
    const step = (EXTENT / camera.size) * 60;
    const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[
      event.key
    ];
    if (by) setMoved({ ...camera, x: camera.x + by[0]!, y: camera.y + by[1]! });
    else if (event.key === '+' || event.key === '=') zoom(1.4);
    else if (event.key === '-') zoom(1 / 1.4);
    else if (event.key === '0') setMoved(null);
    else if (event.key === 'Escape' && chosen) onChoose([]);
    else return;
    event.preventDefault();
  };
  return (
    <div
      className={`imgcls-map imgcls-map-${mode}`}
      role="group"
      aria-label={`Map of ${count(map.x.length)} images: + and - zoom, arrows move, 0 shows all`}
      tabIndex={0}
      data-points={map.x.length}
      ref={box}
      onKeyDown={keyDown}
      onPointerLeave={() => setPointed(null)}
    >
      <canvas
        ref={canvas}
        width={Math.round(width * ratio)}
        height={HEIGHT * ratio}
        style={{ width, height: HEIGHT }}
        aria-hidden="true"
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={up}
      />
      {pointed && <Tip {...{ map, datasetId, width }} at={pointed} />}
    </div>
  );
}
