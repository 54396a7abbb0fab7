// What a view does again and again while it is there, and not while the page is hidden.
import { Poll } from '@lumino/polling';
import { useEffect, useRef } from 'react';

/** Call `work` every `interval` ms while `active`, at first after one interval. */
export function usePoll(work: () => void, interval: number, active = true): void {
  const latest = useRef(work);
  latest.current = work;
  useEffect(() => {
    if (!active) return;
    const poll = new Poll({
      factory: async ({ phase }) => {
        if (phase !== 'started') latest.current();
      },
      frequency: { interval, backoff: false, max: interval },
      standby: 'when-hidden',
    });
    return () => poll.dispose();
  }, [interval, active]);
}
