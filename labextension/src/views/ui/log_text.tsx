// The end of a run's log as text that follows the run.
import { useEffect, useRef } from 'react';
import type { LogChunk } from '../data/types';
import { bytes } from './format';
import './log_text.css';

const AT_END = 40; // px from the end within which the log follows

/** What a terminal would show: colour codes dropped, a line that was written over kept in its last form. */
export const readable = (text: string): string =>
  text
    // eslint-disable-next-line no-control-regex
    .replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '')
    .replace(/[^\n]*\r(?!\n)/g, '');

export function LogText({
  log,
  active,
  wraps,
  follows,
  onFollows,
}: {
  log: LogChunk | undefined;
  /** More may come. */
  active: boolean;
  wraps: boolean;
  follows: boolean;
  onFollows: (follows: boolean) => void;
}) {
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    if (box.current && follows) box.current.scrollTop = box.current.scrollHeight;
  }, [log, follows, wraps]);
  return (
    <>
      {log && log.offset > 0 && (
        <p className="imgcls-muted">
          The last {bytes(log.end - log.offset)} of {bytes(log.size)}.
        </p>
      )}
      <pre
        className={wraps ? 'imgcls-log' : 'imgcls-log imgcls-log-unwrapped'}
        ref={box}
        tabIndex={0}
        aria-label="Log"
        onScroll={event => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          onFollows(scrollHeight - scrollTop - clientHeight < AT_END);
        }}
      >
        {log?.text
          ? readable(log.text)
          : log
            ? active
              ? 'Nothing was written yet.'
              : 'Nothing was written.'
            : ''}
      </pre>
    </>
  );
}
