// The tab of a run's log: its end, which follows the run, a search in all of it, and its download. A run on several nodes
// has a log on each.
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { isActive, type RunDetail } from '../data/types';
import { useLog, useNodeLog } from '../data/use_log';
import { useQuery } from '../data/use_query';
import { useSource } from '../data/source';
import { Button } from '../ui/button';
import { bytes } from '../ui/format';
import { LogText, readable } from '../ui/log_text';
import { Problem } from '../ui/messages';
import { Found, LogMatchList, useTypedText } from './run_log_search';
import '../ui/button.css';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './run_log.css';

const BEFORE = 4000; // bytes of the log that stand before a match
const PIECE = 65_536; // bytes of the log around a match

export function LogTab({ run }: { run: RunDetail }) {
  const [node, setNode] = useState(0);
  const nodes = Number(run.config.num_nodes ?? 1);
  const choice = nodes > 1 && (
    <select
      className="imgcls-small"
      aria-label="Node"
      value={node}
      onChange={event => setNode(Number(event.target.value))}
    >
      {Array.from({ length: nodes }, (_, index) => (
        <option key={index} value={index}>
          node {index + 1} of {nodes}
        </option>
      ))}
    </select>
  );
  return <NodeLog key={node} run={run} node={node} choice={choice} />;
}

/** The log of a node; 0: the run's own, which comes by the stream. */
function useNodesLog(run: RunDetail, node: number) {
  const active = isActive(run.state);
  const own = useLog(node === 0 ? run.id : null, active);
  const further = useNodeLog(node === 0 ? null : run.id, node, active);
  return node === 0 ? own : further;
}

function NodeLog({ run, node, choice }: { run: RunDetail; node: number; choice: ReactNode }) {
  const { log, error } = useNodesLog(run, node);
  const [follows, setFollows] = useState(true);
  const [wraps, setWraps] = useState(true);
  const [text, typed, setText] = useTypedText();
  const [at, setAt] = useState<number | null>(null);
  const { data: found, error: unsearched } = useQuery(
    'logSearch',
    typed ? { id: run.id, q: typed, node } : null,
  );
  return (
    <div className="imgcls-stack imgcls-log-tab">
      <div className="imgcls-tools">
        {choice}
        <input
          type="search"
          className="imgcls-log-search"
          aria-label="Search the whole log"
          placeholder="search the whole log"
          value={text}
          maxLength={200}
          onChange={event => {
            setText(event.target.value);
            setAt(null);
          }}
        />
        <label>
          <input type="checkbox" checked={wraps} onChange={event => setWraps(event.target.checked)} /> wrap
          lines
        </label>
        <label>
          <input type="checkbox" checked={follows} onChange={event => setFollows(event.target.checked)} />{' '}
          follow
        </label>
        <span className="imgcls-spacer" />
        <Download run={run} node={node} />
      </div>
      <Problem>{error ?? unsearched}</Problem>
      {typed && found && <LogMatchList found={found} wanted={typed} open={at} onOpen={setAt} />}
      {typed && at !== null ? (
        <Piece run={run} node={node} at={at} text={typed} wraps={wraps} onClose={() => setAt(null)} />
      ) : (
        <LogText
          log={log}
          active={isActive(run.state)}
          wraps={wraps}
          follows={follows}
          onFollows={setFollows}
        />
      )}
    </div>
  );
}

/** A link to the whole log. */
function Download({ run, node }: { run: RunDetail; node: number }) {
  const source = useSource();
  const { data } = useQuery('runFiles', source.fileAddress ? { id: run.id } : null);
  const name = node === 0 ? 'output.log' : `node-${String(node).padStart(3, '0')}.log`;
  const file = data?.files.find(item => item.name === name);
  return file && source.fileAddress ? (
    <a className="imgcls-plain" href={source.fileAddress(run.id, file.id)} download>
      Download the log
    </a>
  ) : null;
}

/** What stands around a match, with the text marked. */
function Piece({
  run,
  node,
  at,
  text,
  wraps,
  onClose,
}: {
  run: RunDetail;
  node: number;
  at: number;
  text: string;
  wraps: boolean;
  onClose: () => void;
}) {
  const start = Math.max(0, at - BEFORE);
  const { data, error } = useQuery('log', { id: run.id, node, offset: start, limit: PIECE });
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    const here = box.current?.querySelector<HTMLElement>('[data-here]');
    if (box.current && here) box.current.scrollTop = here.offsetTop - box.current.clientHeight / 3;
  }, [data, at]);
  const shown = data?.text ?? '';
  // the match begins at a byte, the text has characters: what stands before it is counted in bytes
  const before = new TextDecoder().decode(new TextEncoder().encode(shown).slice(0, at - (data?.offset ?? 0)));
  return (
    <>
      <div className="imgcls-buttons">
        <Button onClick={onClose}>Back to the end of the log</Button>
        <span className="imgcls-muted">from byte {bytes(start)} on</span>
      </div>
      <Problem>{error}</Problem>
      <pre
        className={wraps ? 'imgcls-log' : 'imgcls-log imgcls-log-unwrapped'}
        ref={box}
        tabIndex={0}
        aria-label="Part of the log"
      >
        <Found text={readable(before)} wanted={text} />
        <span data-here />
        <Found text={readable(shown.slice(before.length))} wanted={text} />
      </pre>
    </>
  );
}
