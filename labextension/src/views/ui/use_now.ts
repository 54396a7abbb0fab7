// The time of day for ages and durations that grow on the screen.
import { useEffect, useState } from 'react';

/** Seconds since the epoch, moving on once a `period` (seconds) while anything is `active`. */
export function useNow(active: boolean, period = 1): number {
  const [now, setNow] = useState(() => Date.now() / 1000);
  useEffect(() => {
    if (!active) return;
    const timer = setInterval(() => document.hidden || setNow(Date.now() / 1000), period * 1000);
    return () => clearInterval(timer);
  }, [active, period]);
  return now;
}
