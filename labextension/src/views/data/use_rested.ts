// What is typed, once typing rests: the server is asked then, and not at each key.
import { useEffect, useMemo, useState } from 'react';

const PAUSE = 350; // ms without a key

/** A value that has stayed the same for a while; null at first. Equal values are the same object. */
export function useRested<T>(value: T): T | null {
  const text = JSON.stringify(value);
  const [rested, setRested] = useState<string | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => setRested(text), PAUSE);
    return () => clearTimeout(timer);
  }, [text]);
  return useMemo(() => (rested === null ? null : (JSON.parse(rested) as T)), [rested]);
}
