// TensorBoard's own page in a frame: its address, its theme, and its reload button while a run is live.
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { usePoll } from '../data/use_poll';
import { onTheme } from '../ui/theme';
import '../ui/layout.css';
import './tensorboard_frame.css';

const RELOAD = 10_000; // ms between two reloads of the event files of a live run

const isDark = (element: Element): boolean => {
  const [red = 255, green = 255, blue = 255] = (getComputedStyle(element).color.match(/[\d.]+/g) ?? []).map(
    Number,
  );
  return 0.299 * red + 0.587 * green + 0.114 * blue > 128; // light text stands on dark ground
};

/** The same page in the other theme: TensorBoard reads it from its query, and keeps its state in the rest. */
export function themed(url: string, dark: boolean): string {
  const next = new URL(url, location.href);
  next.searchParams.set('darkMode', String(dark));
  return next.href;
}

// What a tab begins with, at the top; TensorBoard's own order is that of the alphabet.
const PINNED = ['loss/train', 'loss/val', 'metric/accuracy'];

/** A TensorBoard's address: with the curve of this tag alone if one is named, else with the main curves at the top. */
export function linked(url: string, tag?: string): string {
  const next = new URL(url, location.href);
  // by name: left alone TensorBoard stays with the first page that has anything, which of a run that has just begun
  // may be that of its hyperparameters
  next.hash = 'timeseries';
  if (!tag) {
    next.searchParams.set('pinnedCards', JSON.stringify(PINNED.map(tag => ({ plugin: 'scalars', tag }))));
    return next.href;
  }
  // TensorBoard takes a regular expression
  next.searchParams.set('tagFilter', `^${tag.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}$`);
  return next.href;
}

interface Props {
  /** The address to begin with. */
  start: () => string;
  title: string;
  /** A run of it is live, and somebody can see it. */
  live: boolean;
  /** Called with the address of its page when the frame is taken away. */
  onLeave: (url: string) => void;
}

export function TensorBoardFrame({ start, title, live, onLeave }: Props) {
  const frame = useRef<HTMLIFrameElement>(null);
  const [loaded, setLoaded] = useState(false);
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return;
    element.src = themed(start(), isDark(element));
    return () => {
      const last = element.contentWindow?.location.href;
      if (last && last !== 'about:blank') onLeave(last);
    };
  }, [start, onLeave]);
  useEffect(() => {
    const stop = new AbortController();
    onTheme(() => {
      const page = frame.current?.contentWindow;
      if (!page || !frame.current || page.location.href === 'about:blank') return;
      const next = themed(page.location.href, isDark(frame.current));
      if (next !== page.location.href) page.location.replace(next);
    }, stop.signal);
    return () => stop.abort();
  }, []);
  usePoll(
    () => frame.current?.contentDocument?.querySelector<HTMLElement>('.reload-button:not(.loading)')?.click(),
    RELOAD,
    live,
  );
  return (
    <>
      {!loaded && (
        <p className="imgcls-empty imgcls-muted" role="status">
          TensorBoard loads its page…
        </p>
      )}
      <iframe
        ref={frame}
        className="imgcls-frame"
        title={title}
        style={loaded ? undefined : { visibility: 'hidden' }} // it would be white, in the dark theme too
        onLoad={() => setLoaded(was => was || frame.current?.contentWindow?.location.href !== 'about:blank')}
      />
    </>
  );
}
