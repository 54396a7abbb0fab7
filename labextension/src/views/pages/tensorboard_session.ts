// How a tab and its TensorBoard stand to one another: opened, shown, asleep, woken. The reducer knows no source; the
// hook reports to it what the server answers, what the list of TensorBoards has, and whether the tab is visible.
import { useEffect, useReducer } from 'react';
import { mutate } from '../data/mutate';
import { SourceError, messageOf, useSource, type Source } from '../data/source';
import type { Board } from '../data/types';
import { useTensorBoards } from '../data/use_tensorboards';

/** What to show. A known TensorBoard goes before its runs; nothing: the project that was used last. */
export interface TensorBoardTarget {
  id?: string;
  run_ids?: string[];
  sweep_id?: string;
  project_id?: number;
  /** The curve to show at first. */
  tag?: string;
}

export interface Session {
  /** Grows with each time that it is opened. */
  round: number;
  /** As the server said it last. */
  board: Board | undefined;
  /** Why it could not be opened. */
  error: string | null;
  /** Somebody can see the tab. */
  visible: boolean;
  /** The frame is there. */
  framed: boolean;
  /** Its process was seen running since it was opened. */
  ran: boolean;
}

export type SessionEvent =
  | { type: 'opened' | 'listed'; board: Board }
  | { type: 'failed'; message: string }
  | { type: 'visible'; visible: boolean }
  | { type: 'reopen' };

export const NEW_SESSION: Session = {
  round: 0,
  board: undefined,
  error: null,
  visible: false,
  framed: false,
  ran: false,
};

/** Whether its process has ended in front of the user. */
export const isDown = ({ ran, board }: Session): boolean =>
  ran && board !== undefined && board.state !== 'running';

/** A frame is made as soon as somebody can see it, and stays. */
const framed = (session: Session): Session =>
  session.visible && session.board ? { ...session, framed: true } : session;

const reopened = (session: Session): Session =>
  framed({ ...session, round: session.round + 1, error: null, ran: false, framed: false });

export function reduceSession(session: Session, event: SessionEvent): Session {
  switch (event.type) {
    case 'opened':
    case 'listed': {
      const { board } = event;
      const ran = session.ran || board.state === 'running';
      return framed({ ...session, board, ran, error: event.type === 'opened' ? null : session.error });
    }
    case 'failed':
      return { ...session, board: undefined, error: event.message };
    case 'visible': {
      const { visible } = event;
      const comesBack = visible && !session.visible;
      // who comes back to a tab whose TensorBoard fell asleep behind it wants to see it again
      if (comesBack && isDown(session) && session.board?.state === 'asleep')
        return reopened({ ...session, visible });
      return framed({ ...session, visible });
    }
    case 'reopen':
      return reopened(session);
  }
}

/** The TensorBoard of a target: one that is there already, else a new one. */
async function openTarget(source: Source, target: TensorBoardTarget, signal: AbortSignal): Promise<Board> {
  const { id, run_ids, sweep_id, project_id } = target;
  const known = id && (await source.query('tensorboards', {}, signal)).find(board => board.id === id);
  if (known) return known;
  if (run_ids?.length || sweep_id || project_id != null)
    return mutate(source, 'tensorboards.open', { run_ids, sweep_id, project_id });
  const newest = await source.query('runs', { sort: 'created_at', order: 'desc', limit: 1 }, signal);
  if (!newest.items[0]) throw new SourceError('There are no runs yet. Start one; then TensorBoard shows it.');
  return mutate(source, 'tensorboards.open', { project_id: newest.items[0].project_id });
}

/** The session of a tab that shows this target. */
export function useSession(target: TensorBoardTarget, visible: boolean) {
  const source = useSource();
  const [session, dispatch] = useReducer(reduceSession, NEW_SESSION);
  const { board, round } = session;
  const key = JSON.stringify(target);
  useEffect(() => {
    const stop = new AbortController();
    openTarget(source, JSON.parse(key) as TensorBoardTarget, stop.signal).then(
      opened => stop.signal.aborted || dispatch({ type: 'opened', board: opened }),
      problem => stop.signal.aborted || dispatch({ type: 'failed', message: messageOf(problem) }),
    );
    return () => stop.abort();
  }, [source, key, round]);
  useEffect(() => dispatch({ type: 'visible', visible }), [visible]);
  const listed = useTensorBoards(board !== undefined).find(item => item.id === board?.id);
  useEffect(() => {
    if (listed) dispatch({ type: 'listed', board: listed });
  }, [listed]);
  return { session, dispatch };
}
