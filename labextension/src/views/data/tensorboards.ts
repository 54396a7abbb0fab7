// TensorBoards as the panel lists them: asked for at times, and at once when this page changed one.
import { useCallback, useEffect, useState } from 'react';
import { useAction } from './hooks';
import { useSource, type Source } from './source';
import type { Board } from './types';

const SOON = 5_000; // ms between two looks while there are boards
const SELDOM = 60_000;
const listeners = new WeakMap<Source, Set<() => void>>();

const listenersOf = (source: Source): Set<() => void> => {
  let set = listeners.get(source);
  if (!set) listeners.set(source, (set = new Set()));
  return set;
};

/** Let all lists of this page look again. */
export const boardsChanged = (source: Source): void => listenersOf(source).forEach(look => look());

/** All boards; empty where there are none or where the server has none to give. `look` false: do not ask. */
export function useBoards(look = true): Board[] {
  const source = useSource();
  const [boards, setBoards] = useState<Board[]>([]);
  const pause = boards.length > 0 ? SOON : SELDOM;
  useEffect(() => {
    if (!look) return;
    const stop = new AbortController();
    const ask = () =>
      source.query('boards', {}, stop.signal).then(
        found => stop.signal.aborted || setBoards(found),
        () => undefined, // the link's state says what is wrong; the last list stays
      );
    void ask();
    const timer = setInterval(() => document.hidden || void ask(), pause);
    const set = listenersOf(source).add(ask);
    return () => {
      stop.abort();
      clearInterval(timer);
      set.delete(ask);
    };
  }, [source, pause, look]);
  return boards;
}

type BoardCommand = 'stopBoard' | 'restartBoard' | 'deleteBoard';

/** The buttons of a board: `press` asks, and lets the lists look again. */
export function useBoardAction() {
  const source = useSource();
  const { busy, error, act } = useAction();
  const press = useCallback(
    async (name: BoardCommand, id: string) => {
      const done = await act(name, () => source.command(name, { id }));
      boardsChanged(source);
      return done;
    },
    [source, act],
  );
  return { busy, error, press };
}
