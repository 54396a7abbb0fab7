// A TensorBoard in its frame: which runs it shows, how its process stands, and what to do when it sleeps.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { boardsChanged, useBoardAction, useBoards } from '../data/tensorboards';
import { ago, bytes } from '../ui/format';
import { sentence, useFeed } from '../data/hooks';
import { RunsTable } from './runs';
import { SourceError, useSource } from '../data/source';
import { Button, Problem } from '../ui/states';
import { onTheme } from '../ui/theme';
import { isActive, type Board, type Run } from '../data/types';

const RELOAD = 10_000; // ms between two looks at the event files of a live run

/** What to show. A known board goes before its runs; nothing: the project that was used last. */
export interface Wanted {
  id?: string;
  run_ids?: string[];
  sweep_id?: string;
  project_id?: number;
  /** The curve to show at first. */
  tag?: string;
}

interface Props {
  wanted: Wanted;
  /** Where a board is served: a URL of this origin that ends with a slash. */
  address: (id: string) => string;
  onOpen?: (board: Board) => void;
}

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

/** A board's address: with the curve of this tag alone if one is named, else with the main curves at the top. */
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

/** Opens the board, once. */
function useBoard(wanted: Wanted, round: number): { board: Board | undefined; error: string | null } {
  const source = useSource();
  const [state, setState] = useState<{ board?: Board; error: string | null }>({ error: null });
  const key = JSON.stringify(wanted);
  useEffect(() => {
    const stop = new AbortController();
    const { id, run_ids, sweep_id, project_id } = JSON.parse(key) as Wanted;
    const open = async (): Promise<Board> => {
      const known = id && (await source.query('boards', {}, stop.signal)).find(board => board.id === id);
      if (known) return known;
      if (run_ids?.length || sweep_id || project_id != null)
        return source.command('openBoard', { run_ids, sweep_id, project_id });
      const newest = await source.query('runs', { sort: 'created_at', order: 'desc', limit: 1 }, stop.signal);
      if (!newest.items[0])
        throw new SourceError('There are no runs yet. Start one; then TensorBoard shows it.');
      return source.command('openBoard', { project_id: newest.items[0].project_id });
    };
    open().then(
      board => {
        if (stop.signal.aborted) return;
        setState({ board, error: null });
        boardsChanged(source);
      },
      problem => stop.signal.aborted || setState({ error: sentence(problem) }),
    );
    return () => stop.abort();
  }, [source, key, round]);
  return { board: state.board, error: state.error };
}

/** Whether an element is on the screen. */
function useVisible(element: React.RefObject<Element | null>): boolean {
  const [visible, setVisible] = useState(false);
  useEffect(() => {
    if (!element.current) return;
    const observer = new IntersectionObserver(entries => setVisible(entries.at(-1)?.isIntersecting ?? false));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return visible;
}

interface FrameProps {
  /** The address to begin with. */
  start: () => string;
  title: string;
  live: boolean;
  /** Hears where in TensorBoard its page stood when it was taken away. */
  onLeave: (url: string) => void;
}

/** TensorBoard's own page. While a run is live its reload button is pressed, as long as somebody can see it. */
function Frame({ start, title, live, onLeave }: FrameProps) {
  const frame = useRef<HTMLIFrameElement>(null);
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
    const follow = () => {
      const page = frame.current?.contentWindow;
      if (!page || !frame.current || page.location.href === 'about:blank') return;
      const next = themed(page.location.href, isDark(frame.current));
      if (next !== page.location.href) page.location.replace(next);
    };
    onTheme(follow, stop.signal);
    return () => stop.abort();
  }, []);
  useEffect(() => {
    if (!live) return;
    const timer = setInterval(() => {
      if (document.hidden) return;
      frame.current?.contentDocument?.querySelector<HTMLElement>('.reload-button:not(.loading)')?.click();
    }, RELOAD);
    return () => clearInterval(timer);
  }, [live]);
  return <iframe ref={frame} className="imgcls-frame" title={title} />;
}

function Standing({ board }: { board: Board | undefined }) {
  if (board?.state !== 'running') return <span className="imgcls-muted">{board?.state ?? ''}</span>;
  return (
    <span
      className="imgcls-muted imgcls-num"
      title="What its process holds in memory, and how long it has run"
    >
      {[board.memory != null && bytes(board.memory), board.started_at != null && ago(board.started_at)]
        .filter(Boolean)
        .join(' · ')}
    </span>
  );
}

export function BoardPage({ wanted, address, onOpen }: Props) {
  const source = useSource();
  const [round, setRound] = useState(0);
  const { board: opened, error } = useBoard(wanted, round);
  const { busy, error: failed, press } = useBoardAction();
  const [chosen, setChosen] = useState<string[] | null>(null); // the runs, when they were chosen anew
  const [refused, setRefused] = useState<string | null>(null);
  const [choosing, setChoosing] = useState(false);
  const [seenRunning, setSeenRunning] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const visible = useVisible(root);
  const [shown, setShown] = useState(false); // the frame is there
  const left = useRef<string>(undefined); // where its page stood, so that it comes back there
  const leave = useCallback((url: string) => void (left.current = url), []);
  const start = useCallback(
    () => left.current ?? linked(address(opened?.id ?? ''), wanted.tag),
    [address, opened?.id, wanted.tag],
  );
  const boards = useBoards(opened !== undefined);
  const { runs } = useFeed();
  const board = boards.find(item => item.id === opened?.id) ?? opened;
  const ids = chosen ?? board?.run_ids ?? [];
  const down = seenRunning && board !== undefined && board.state !== 'running';
  const live = [...runs.values()].some(
    run =>
      isActive(run.state) &&
      (board?.project_id != null
        ? run.project_id === board.project_id
        : board?.sweep_id
          ? run.parent_id === board.sweep_id
          : ids.includes(run.id)),
  );
  useEffect(() => {
    if (opened) onOpen?.(opened);
  }, [opened, onOpen]);
  if (board?.state === 'running' && !seenRunning) setSeenRunning(true);
  if (visible && opened && !shown) setShown(true);
  // Who comes back to a tab whose TensorBoard has fallen asleep behind it wants to see it again.
  const [wasVisible, setWasVisible] = useState(visible);
  const wake = () => {
    setSeenRunning(false);
    setShown(false);
    setRound(n => n + 1);
  };
  if (wasVisible !== visible) {
    setWasVisible(visible);
    if (visible && down && board.state === 'asleep') wake();
  }

  const choose = (run: Run, on: boolean) => {
    const next = on ? [...ids, run.id] : ids.filter(id => id !== run.id);
    if (!opened || next.length === 0) return;
    setChosen(next);
    source.command('chooseRuns', { id: opened.id, run_ids: next }).then(
      view => {
        setRefused(null);
        onOpen?.(view);
        boardsChanged(source);
      },
      problem => {
        setChosen(null);
        setRefused(sentence(problem));
      },
    );
  };
  return (
    <div className="imgcls-board" ref={root} data-board={board?.id} data-board-state={board?.state}>
      <header className="imgcls-board-head">
        <b className="imgcls-clip">{board?.title ?? 'TensorBoard'}</b>
        <Standing board={board} />
        <span className="imgcls-spacer" />
        {board && board.project_id == null && !board.sweep_id && (
          <Button aria-expanded={choosing} onClick={() => setChoosing(!choosing)}>
            {choosing ? 'Done choosing' : 'Choose runs…'}
          </Button>
        )}
        {board && !down && (
          <Button
            busy={busy !== null}
            title="End its process and free its memory; opening it starts it again"
            onClick={() => void press('stopBoard', board.id)}
          >
            Stop
          </Button>
        )}
        {board && (
          <Button
            busy={busy !== null}
            onClick={() => void press('restartBoard', board.id).then(done => done && wake())}
          >
            {down ? 'Start' : 'Restart'}
          </Button>
        )}
      </header>
      <Problem>{error ?? failed ?? refused}</Problem>
      {error && (
        <div>
          <Button onClick={() => setRound(n => n + 1)}>Try again</Button>
        </div>
      )}
      {choosing && (
        <section className="imgcls-card imgcls-board-choice">
          <RunsTable chosen={new Set(ids)} onChoose={choose} />
        </section>
      )}
      {down && (
        <div className="imgcls-empty">
          <p>
            {board.message ??
              'TensorBoard sleeps: it was stopped, or nobody had looked at it for a while. Its memory is free.'}
          </p>
          <Button primary onClick={wake}>
            Open it again
          </Button>
        </div>
      )}
      {opened && shown && !down && (
        <Frame
          key={round}
          start={start}
          title={`TensorBoard of ${opened.title}`}
          live={live && visible}
          onLeave={leave}
        />
      )}
    </div>
  );
}
