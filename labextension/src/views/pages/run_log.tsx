// The tab of a run's log: its end, as a terminal would show it, growing while the run is active. A run on several nodes
// has a log on each.
import { useEffect, useRef, useState } from 'react';
import { isActive, type LogChunk, type RunDetail } from '../data/types';
import { useLog, useNodeLog } from '../data/use_log';
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
  const [node, setNode] = useState(0);
  const nodes = Number(run.config.num_nodes ?? 1);
  return (
    <div className="imgcls-stack imgcls-log-tab">
      {nodes > 1 && (
        <select aria-label="Node" value={node} onChange={event => setNode(Number(event.target.value))}>
          {Array.from({ length: nodes }, (_, index) => (
            <option key={index} value={index}>
              node {index + 1} of {nodes}
            </option>
          ))}
        </select>
      )}
      {node === 0 ? <OwnLog run={run} /> : <NodeLog key={node} run={run} node={node} />}
    </div>
  );
}

function OwnLog({ run }: { run: RunDetail }) {
  return <LogText {...useLog(run.id, isActive(run.state))} />;
}

function NodeLog({ run, node }: { run: RunDetail; node: number }) {
  return <LogText {...useNodeLog(run.id, node, isActive(run.state))} />;
}

function LogText({ log, error }: { log: LogChunk | undefined; error: string | null }) {
  const box = useRef<HTMLPreElement>(null);
  const stick = useRef(true);
  useEffect(() => {
    if (box.current && stick.current) box.current.scrollTop = box.current.scrollHeight;
  }, [log]);
  return (
    <>
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
    </>
  );
}
