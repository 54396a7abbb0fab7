// What follows from what changes, less often than that changes.
import { useEffect, useRef } from 'react';

/** Call `work` when it is another function than before (useCallback), at once, but not twice in `every` ms: what came last
 * in that time is called at its end. */
export function usePaced(work: () => void, every: number): void {
  const last = useRef(-Infinity);
  useEffect(() => {
    const act = () => {
      last.current = performance.now();
      work();
    };
    const wait = last.current + every - performance.now();
    if (wait <= 0) return act();
    const timer = setTimeout(act, wait);
    return () => clearTimeout(timer);
  }, [work, every]);
}
