// The images that somebody tries a model on: sent one after the other, since the process behind it answers one at a time.
import { useEffect, useRef, useState } from 'react';
import { messageOf, useSource } from '../data/source';
import type { Inference, TriedImage } from '../data/types';
import { usePoll } from '../data/use_poll';
import { useQuery } from '../data/use_query';

const LARGEST = 20 * 1024 * 1024; // bytes that the server takes
const KEPT = 12; // answers on the page
const POLL = 500; // ms

export interface Try {
  key: number;
  file: File;
  url: string;
  answer: TriedImage | null;
  error: string | null;
}

/** What the process behind the model does, live while `active`. */
export function usePhase(active: boolean): Inference | undefined {
  const { data, reload } = useQuery('inference', active ? {} : null);
  usePoll(reload, POLL, active);
  return active ? data : undefined;
}

/** The images that were tried, newest first, and how to try more. `waiting`: keys, the one that is sent first. */
export function useTries(id: string) {
  const source = useSource();
  const [tries, setTries] = useState<Try[]>([]);
  const latest = useRef(tries);
  latest.current = tries;
  const serial = useRef(0);
  const sent = useRef<{ key: number; stop: AbortController } | null>(null);
  useEffect(
    () => () => {
      sent.current?.stop.abort();
      latest.current.forEach(item => URL.revokeObjectURL(item.url));
    },
    [],
  );
  const waiting = tries.filter(item => !item.answer && !item.error).map(item => item.key);
  waiting.sort((a, b) => a - b);
  const [next] = waiting;
  useEffect(() => {
    const item = latest.current.find(({ key }) => key === next);
    if (!item || sent.current?.key === item.key) return;
    const stop = new AbortController();
    sent.current = { key: item.key, stop };
    const answered = (part: Partial<Try>) =>
      stop.signal.aborted ||
      setTries(was => was.map(other => (other.key === item.key ? { ...other, ...part } : other)));
    const { file } = item;
    source.command('predict', { id, name: file.name, file }, stop.signal).then(
      answer => answered({ answer }),
      error => answered({ error: messageOf(error) }),
    );
  }, [source, id, next]);
  const forget = (items: readonly Try[]) => {
    for (const { key, url } of items) {
      if (sent.current?.key === key) sent.current.stop.abort();
      URL.revokeObjectURL(url);
    }
  };
  const add = (files: readonly File[]) => {
    const added = files.slice(0, KEPT).map((file): Try => ({
      key: ++serial.current,
      file,
      url: URL.createObjectURL(file),
      answer: null,
      error: file.size > LARGEST ? 'The file is larger than 20 MB. Make it smaller and try again.' : null,
    }));
    const all = [...added.reverse(), ...latest.current];
    forget(all.slice(KEPT));
    latest.current = all.slice(0, KEPT);
    setTries(latest.current);
  };
  const remove = (key: number) => {
    forget(latest.current.filter(item => item.key === key));
    setTries(was => was.filter(item => item.key !== key));
  };
  return { tries, waiting, add, remove };
}
