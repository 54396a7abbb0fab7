// The end of a run's log, and of those of its further nodes, which grow while the run is active.
import type { LogChunk, LogTopic } from './types';
import { usePoll } from './use_poll';
import { useQuery } from './use_query';
import { useSubscription, type Subscription } from './use_subscription';

const FIRST = 65_536; // bytes of the end that are read at first
const LONGEST = 400_000; // characters that are kept
const NODE_EVERY = 3000; // milliseconds between two reads of a further node's log

const LOG: Subscription<'log', LogTopic, LogChunk> = {
  query: 'log',
  begin: chunk => chunk,
  topic: ({ end }, { id }) => ({ kind: 'log', run_id: id, offset: end }),
  merge: (log, { chunk }) => {
    if (!log) return chunk;
    if (chunk.end <= log.end) return log; // it was read already
    return {
      text: (log.text + chunk.text).slice(-LONGEST),
      offset: log.offset,
      end: chunk.end,
      size: chunk.size,
    };
  },
};

/** `id` null: no log. */
export function useLog(id: string | null, active: boolean) {
  const { data: log, error } = useSubscription(LOG, id === null ? null : { id, offset: -FIRST }, active);
  return { log, error };
}

/** The log of a further node: 1 is the second one. */
export function useNodeLog(id: string | null, node: number, active: boolean) {
  const { data: log, error, reload } = useQuery('log', id === null ? null : { id, offset: -FIRST, node });
  usePoll(reload, NODE_EVERY, active && id !== null);
  return { log, error };
}
