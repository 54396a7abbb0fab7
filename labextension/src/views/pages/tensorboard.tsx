// The page of a TensorBoard: which runs it shows, how its process stands, its frame, and what to do when it sleeps.
import { useCallback, useEffect, useRef, useState } from 'react';
import { mutate } from '../data/mutate';
import { messageOf, useSource } from '../data/source';
import { isActive, type Board, type Run } from '../data/types';
import { useRuns } from '../data/use_runs';
import { useTensorBoardAction } from '../data/use_tensorboards';
import { Button } from '../ui/button';
import { ago, bytes } from '../ui/format';
import { Problem } from '../ui/messages';
import { RunsTable } from './runs_table';
import { TensorBoardFrame, linked } from './tensorboard_frame';
import { isDown, useSession, type TensorBoardTarget } from './tensorboard_session';
import '../ui/layout.css';
import './tensorboard.css';

export interface TensorBoardPageProps {
  target: TensorBoardTarget;
  /** Where a TensorBoard is served: a URL of this origin that ends with a slash. */
  address: (id: string) => string;
  onOpen?: (board: Board) => void;
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

/** Its runs, and how to choose others: shown at once, taken back where the server refuses. */
function useChosenRuns(board: Board | undefined, onOpen: TensorBoardPageProps['onOpen']) {
  const source = useSource();
  const [chosen, setChosen] = useState<string[] | null>(null); // null: as the server has them
  const [refused, setRefused] = useState<string | null>(null);
  const ids = chosen ?? board?.run_ids ?? [];
  const choose = (run: Run, on: boolean) => {
    const next = on ? [...ids, run.id] : ids.filter(id => id !== run.id);
    if (!board || next.length === 0) return;
    setChosen(next);
    mutate(source, 'tensorboards.choose', { id: board.id, run_ids: next }).then(
      changed => {
        setRefused(null);
        onOpen?.(changed);
      },
      problem => {
        setChosen(null);
        setRefused(messageOf(problem));
      },
    );
  };
  return { ids, choose, refused };
}

const isShownBy = (board: Board | undefined, ids: string[], run: Run): boolean =>
  board?.project_id != null
    ? run.project_id === board.project_id
    : board?.sweep_id
      ? run.parent_id === board.sweep_id
      : ids.includes(run.id);

function ProcessStatus({ board }: { board: Board | undefined }) {
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

interface HeadProps {
  board: Board | undefined;
  down: boolean;
  choosing: boolean;
  onChoosing: (choosing: boolean) => void;
  action: ReturnType<typeof useTensorBoardAction>;
  onRestarted: () => void;
}

function Head({ board, down, choosing, onChoosing, action, onRestarted }: HeadProps) {
  const busy = action.busy !== null;
  return (
    <header className="imgcls-board-head">
      <b className="imgcls-clip">{board?.title ?? 'TensorBoard'}</b>
      <ProcessStatus board={board} />
      <span className="imgcls-spacer" />
      {board && board.project_id == null && !board.sweep_id && (
        <Button aria-expanded={choosing} onClick={() => onChoosing(!choosing)}>
          {choosing ? 'Done choosing' : 'Choose runs…'}
        </Button>
      )}
      {board && !down && (
        <Button
          busy={busy}
          title="End its process and free its memory; opening it starts it again"
          onClick={() => void action.press('stop', board.id)}
        >
          Stop
        </Button>
      )}
      {board && (
        <Button
          busy={busy}
          onClick={() => void action.press('restart', board.id).then(done => done && onRestarted())}
        >
          {down ? 'Start' : 'Restart'}
        </Button>
      )}
    </header>
  );
}

export function TensorBoardPage({ target, address, onOpen }: TensorBoardPageProps) {
  const root = useRef<HTMLElement>(null);
  const visible = useVisible(root);
  const { session, dispatch } = useSession(target, visible);
  const { board, round, error } = session;
  const down = isDown(session);
  const action = useTensorBoardAction();
  const { ids, choose, refused } = useChosenRuns(board, onOpen);
  const [choosing, setChoosing] = useState(false);
  const left = useRef<string>(undefined); // where its page stood, so that it comes back there
  const leave = useCallback((url: string) => void (left.current = url), []);
  const id = board?.id ?? '';
  const start = useCallback(() => left.current ?? linked(address(id), target.tag), [address, id, target.tag]);
  const { runs } = useRuns();
  const live = [...runs.values()].some(run => isActive(run.state) && isShownBy(board, ids, run));
  const opened = useRef(board);
  opened.current = board;
  useEffect(() => {
    if (id && opened.current) onOpen?.(opened.current);
  }, [id, round, onOpen]);
  const reopen = () => dispatch({ type: 'reopen' });
  return (
    <section
      aria-label="TensorBoard"
      className="imgcls-board"
      ref={root}
      data-board={board?.id}
      data-board-state={board?.state}
    >
      <Head {...{ board, down, choosing, action }} onChoosing={setChoosing} onRestarted={reopen} />
      <Problem>{error ?? action.error ?? refused}</Problem>
      {error && (
        <div>
          <Button onClick={reopen}>Try again</Button>
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
            {board?.message ??
              'TensorBoard sleeps: it was stopped, or nobody had looked at it for a while. Its memory is free.'}
          </p>
          <Button primary onClick={reopen}>
            Open it again
          </Button>
        </div>
      )}
      {board && session.framed && !down && (
        <TensorBoardFrame
          key={round}
          start={start}
          title={`TensorBoard of ${board.title}`}
          live={live && visible}
          onLeave={leave}
        />
      )}
    </section>
  );
}
