// The tab of a run's log: its end, as a terminal would show it, growing while the run is active.
import { useEffect, useRef } from 'react';
import { isActive, type RunDetail } from '../data/types';
import { useLog } from '../data/use_log';
import { bytes } from '../ui/format';
import { Problem } from '../ui/messages';
import '../ui/layout.css';
import './run_log.css';

/** What a terminal would show: colour codes dropped, a line that was written over kept in its last form. */
export const readable = (text: string): string =>
  text
    // eslint-disable-next-line no-control-regex
    .replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '')
    .replace(/[^\n]*\r(?!\n)/g, '');

export function LogTab({ run }: { run: RunDetail }) {
  const { log, error } = useLog(run.id, isActive(run.state));
  const box = useRef<HTMLPreElement>(null);
  const stick = useRef(true);
  useEffect(() => {
    if (box.current && stick.current) box.current.scrollTop = box.current.scrollHeight;
  }, [log]);
  return (
    <div className="imgcls-stack imgcls-log-tab">
      <Problem>{error}</Problem>
      {log && log.offset > 0 && (
        <p className="imgcls-muted">
          The last {bytes(log.end - log.offset)} of {bytes(log.size)}.
        </p>
      )}
      <pre
        className="imgcls-log"
        ref={box}
        tabIndex={0}
        aria-label="Log"
        onScroll={event => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          stick.current = scrollHeight - scrollTop - clientHeight < 40;
        }}
      >
        {log?.text ? readable(log.text) : log ? 'Nothing was written yet.' : ''}
      </pre>
    </div>
  );
}
