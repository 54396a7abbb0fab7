// The end of a run's log, which grows while the run is active.
import type { LogChunk, LogTopic } from './types';
import { useSubscription, type Subscription } from './use_subscription';

const FIRST = 65_536; // bytes of the end that are read at first
const LONGEST = 400_000; // characters that are kept

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

export function useLog(id: string, active: boolean) {
  const { data: log, error } = useSubscription(LOG, { id, offset: -FIRST }, active);
  return { log, error };
}
