// The line in a status bar: "2 running · 1 queued", and how the connection stands; nothing while all is quiet and well.
import { useRuns } from '../data/use_runs';
import { Dot } from '../ui/run_state';
import { ConnectionNotice } from '../ui/messages';
import { RUN_STATES, isUnderWay } from '../data/types';

interface StatusWords {
  running: (runs: number) => string;
  queued: (runs: number) => string;
  /** What a click does. */
  title: string;
}

export function StatusLine({ words, onOpen }: { words: StatusWords; onOpen: () => void }) {
  const { counts, connection } = useRuns();
  const running = RUN_STATES.filter(isUnderWay).reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  const queued = counts.queued ?? 0;
  const parts = [running > 0 && words.running(running), queued > 0 && words.queued(queued)].filter(Boolean);
  const broken = connection === 'reconnecting';
  if (parts.length === 0 && !broken) return null;
  return (
    <button type="button" className="imgcls-status" title={words.title} onClick={onOpen}>
      {running > 0 && <Dot state="running" />}
      <span className="imgcls-num">{parts.join(' · ')}</span>
      {parts.length > 0 && broken && <span>{'\u00a0·\u00a0'}</span>}
      <ConnectionNotice connection={connection} />
    </button>
  );
}
