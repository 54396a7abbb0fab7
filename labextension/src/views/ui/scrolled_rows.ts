// Which rows of one height are in view in a box that scrolls.
import { useCallback, useLayoutEffect, useRef, useState } from 'react';
import { onResize } from './on_resize';

/** The box, and its rows in view with some before and behind, `ahead`. width, height: of the box, CSS pixels; 0 before
 * it is measured. */
export function useScrolledRows(rowHeight: number, ahead: number, total: number) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ first: 0, end: 40, height: 0, width: 0 });
  const measure = useCallback(() => {
    const { scrollTop, clientHeight: height, clientWidth: width } = box.current!;
    const first = Math.max(0, Math.floor(scrollTop / rowHeight) - ahead);
    const end = Math.ceil((scrollTop + height) / rowHeight) + ahead;
    setView(was =>
      was.first === first && was.end === end && was.height === height && was.width === width
        ? was
        : { first, end, height, width },
    );
  }, [rowHeight, ahead]);
  useLayoutEffect(() => {
    measure();
    return onResize(box.current!, measure);
  }, [measure, total]);
  /** Scroll no further than a row needs; covered: what of the box is hidden by a head that stays, CSS pixels. */
  const reveal = useCallback(
    (row: number, covered = 0) => {
      const { scrollTop, clientHeight } = box.current!;
      const [top, room] = [row * rowHeight, clientHeight - covered];
      if (top < scrollTop) box.current!.scrollTop = top;
      else if (top + rowHeight > scrollTop + room) box.current!.scrollTop = top + rowHeight - room;
    },
    [rowHeight],
  );
  return { box, ...view, measure, reveal };
}
