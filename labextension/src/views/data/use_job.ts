// A task of the server: the page that started it, or one that is opened later, watches it until it has ended.
import { useEffect, useRef, useState } from 'react';
import { changed } from './mutate';
import type { Args, Query, Reply } from './requests';
import { messageOf, useSource } from './source';
import type { Job } from './types';
import { usePoll } from './use_poll';

const INTERVAL = 400; // ms

/** Whether a task goes on. */
export const isUnderway = (job: Job | null): boolean => job?.state === 'waiting' || job?.state === 'running';

/** The commands that start a task. */
type Starting = { [K in keyof Reply]: Reply[K] extends Job ? K : never }[keyof Reply];

export interface WatchedJob {
  job: Job | null;
  /** Why it could not be started, or is not heard of any more. */
  error: string | null;
  start: <K extends Starting>(name: K, args: Args[K]) => Promise<void>;
  cancel: () => void;
}

/**
 * The newest task of a kind that goes on, and of a subject where one is named; then what `start` starts.
 * `changes`: the queries whose answers are others when it has ended; `onEnd` is called then, too.
 */
export function useJob(
  of: { kind: Job['kind']; subject?: string },
  changes: readonly Query[],
  onEnd?: () => void,
): WatchedJob {
  const source = useSource();
  const [job, setJob] = useState<Job | null>(null);
  const [error, setError] = useState<string | null>(null);
  const ended = useRef(onEnd);
  ended.current = onEnd;
  const { kind, subject } = of;
  useEffect(() => {
    const stop = new AbortController();
    source.query('jobs', {}, stop.signal).then(
      jobs => {
        const found = jobs.find(
          item =>
            item.kind === kind && (subject === undefined || item.subject === subject) && isUnderway(item),
        );
        if (found) setJob(known => known ?? found);
      },
      () => undefined, // the start of one says what is wrong
    );
    return () => stop.abort();
  }, [source, kind, subject]);
  const hear = (next: Job) => {
    setJob(next);
    if (isUnderway(next)) return;
    changed(source, changes);
    ended.current?.();
  };
  const read = () => {
    source.query('job', { id: job!.id }, new AbortController().signal).then(
      next => {
        setError(null);
        hear(next);
      },
      problem => {
        setError(messageOf(problem));
        if ((problem as { status?: number }).status === 404) setJob(null);
      },
    );
  };
  usePoll(read, INTERVAL, isUnderway(job));
  return {
    job,
    error,
    start: async (name, args) => {
      setError(null);
      setJob(null);
      try {
        hear((await source.command(name, args)) as Job);
      } catch (problem) {
        setError(messageOf(problem));
      }
    },
    cancel: () => {
      source.command('jobs.cancel', { id: job!.id }).then(setJob, problem => setError(messageOf(problem)));
    },
  };
}
