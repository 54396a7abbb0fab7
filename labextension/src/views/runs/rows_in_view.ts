// Which rows of the table of runs are in view, and in which elements they are drawn. While the table scrolls, the element
// of a row that went out of view becomes that of one that comes: making elements anew costs three times as much.
import { useCallback, useEffect, useState } from 'react';
import { usePaced } from '../data/use_paced';
import { useScrolledRows } from '../ui/scrolled_rows';

export const ROW = 20; // CSS pixels, as in the style
const HEAD = 28;
const AHEAD = 8; // rows that are drawn before they are in view
const STILL = 200; // ms after which the table does not scroll any more
const EVERY = 100; // ms at least from one question for rows to the next

interface View {
  first: number;
  end: number;
  /** More than are ever in view at once. */
  slots: number;
}

export interface Drawn {
  index: number;
  /** That of the element. */
  key: number | string;
}

/** The rows of a view and the one that the keys stand on, `at`, each with the key of its element. While it `moves` they
 * stand in the order of the elements, so that none is moved; else in their own, in which they are read aloud. */
export function drawnRows({ first, end, slots }: View, total: number, at: number, moves: boolean): Drawn[] {
  const drawn: Drawn[] = [];
  for (let index = first; index < end; index++) drawn.push({ index, key: index % slots });
  if (moves) drawn.sort((a, b) => Number(a.key) - Number(b.key));
  if (total > 0 && (at < first || at >= end)) drawn.push({ index: at, key: 'active' });
  return drawn;
}

/** The box that scrolls, and the rows of `total` that are in view in it. */
export function useRowsInView(total: number) {
  const { box, height, measure, reveal: scrollTo, ...view } = useScrolledRows(ROW, AHEAD, total);
  // as many for a height, whatever is scrolled to; before it is measured, those that are drawn
  const slots = Math.max(view.end - view.first, Math.ceil(height / ROW) + 2 * AHEAD + 1);
  const [moves, setMoves] = useState(false);
  useEffect(() => {
    const node = box.current!;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const scrolled = () => {
      setMoves(true);
      clearTimeout(timer);
      timer = setTimeout(() => setMoves(false), STILL);
    };
    node.addEventListener('scroll', scrolled, { passive: true });
    return () => {
      node.removeEventListener('scroll', scrolled);
      clearTimeout(timer);
    };
  }, [box]);
  const reveal = useCallback(
    (index: number) => {
      scrollTo(index, HEAD);
      measure();
    },
    [scrollTo, measure],
  );
  /** Rows that PageUp and PageDown move by. */
  const page = () => Math.max(1, Math.floor((box.current!.clientHeight - HEAD) / ROW) - 1);
  const [first, end] = [Math.min(view.first, total), Math.min(view.end, total)];
  const drawn = (at: number) => drawnRows({ first, end, slots }, total, at, moves);
  return { box, width: view.width, first, end, page, drawn, measure, reveal };
}

/** Ask for the rows that are in view; not for each through which a fast scroll passes, but for those where it is each
 * tenth of a second. */
export function useNeeded(need: (first: number, end: number) => void, first: number, end: number): void {
  const ask = useCallback(() => first < end && need(first, end), [need, first, end]);
  usePaced(ask, EVERY);
}
