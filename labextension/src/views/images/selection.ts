// Which images of a grid are chosen: one by a click, more with Ctrl, a stretch with Shift.
import { useCallback, useMemo, useRef, useState } from 'react';
import { messageOf } from '../data/source';
import type { Pages } from '../data/use_pages';

export interface Selection<T> {
  /** By the id that the grid's `idOf` gives. */
  chosen: ReadonlyMap<string, T>;
  /** Why a stretch could not be chosen. */
  error: string | null;
  only: (index: number) => void;
  toggle: (index: number) => void;
  /** From the image that was chosen last on its own to this one. */
  extend: (index: number) => void;
  all: () => void;
  clear: () => void;
  /** Choose these, such as those that a lasso holds. */
  set: (items: readonly T[]) => void;
}

const EMPTY: ReadonlyMap<string, never> = new Map<string, never>();

export function useSelection<T>(pages: Pages<T>, idOf: (item: T) => string): Selection<T> {
  const [chosen, setChosen] = useState<ReadonlyMap<string, T>>(EMPTY);
  const [error, setError] = useState<string | null>(null);
  const anchor = useRef(0);
  const latest = useRef({ pages, idOf });
  latest.current = { pages, idOf };
  const set = useCallback((items: readonly T[]) => {
    setError(null);
    setChosen(new Map(items.map(item => [latest.current.idOf(item), item])));
  }, []);
  const stretch = useCallback(
    (first: number, end: number) => {
      latest.current.pages.range(first, end).then(set, problem => setError(messageOf(problem)));
    },
    [set],
  );
  const actions = useMemo(() => {
    const item = (index: number) => latest.current.pages.at(index);
    return {
      only: (index: number) => {
        anchor.current = index;
        const one = item(index);
        set(one === undefined ? [] : [one]);
      },
      toggle: (index: number) => {
        anchor.current = index;
        const one = item(index);
        if (one === undefined) return;
        setChosen(was => {
          const next = new Map(was);
          const id = latest.current.idOf(one);
          if (!next.delete(id)) next.set(id, one);
          return next;
        });
      },
      extend: (index: number) =>
        stretch(Math.min(anchor.current, index), Math.max(anchor.current, index) + 1),
      all: () => stretch(0, latest.current.pages.total ?? 0),
      clear: () => set([]),
      set,
    };
  }, [set, stretch]);
  return { chosen, error, ...actions };
}
