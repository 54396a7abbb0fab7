// What a search in a run's log found: the lines, and the text marked in them.
import { useEffect, useState, type ReactNode } from 'react';
import type { LogMatches } from '../data/types';
import { bytes, count, plural } from '../ui/format';
import './run_log_search.css';

const PAUSE = 300; // ms without a key after which the log is searched

/** What is typed, and the same once nothing was typed for a moment. */
export function useTypedText(): [text: string, settled: string, set: (text: string) => void] {
  const [text, setText] = useState('');
  const [settled, setSettled] = useState('');
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text.trim()), text ? PAUSE : 0);
    return () => clearTimeout(timer);
  }, [text]);
  return [text, settled, setText];
}

/** A text with what was looked for marked, whatever its case. */
export function Found({ text, wanted }: { text: string; wanted: string }) {
  const [low, part] = [text.toLowerCase(), wanted.toLowerCase()];
  const pieces: ReactNode[] = [];
  let from = 0;
  // a letter whose lower case is longer would shift what follows: then nothing is marked
  for (
    let at = low.indexOf(part);
    at >= 0 && part && low.length === text.length;
    at = low.indexOf(part, from)
  ) {
    pieces.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + part.length)}</mark>);
    from = at + part.length;
  }
  return (
    <>
      {pieces}
      {text.slice(from)}
    </>
  );
}

interface Props {
  found: LogMatches;
  wanted: string;
  /** The byte of the match that is open. */
  open: number | null;
  onOpen: (at: number) => void;
}

export function LogMatchList({ found, wanted, open, onOpen }: Props) {
  const { matches, total, searched, size } = found;
  const bound = searched < size ? ` The last ${bytes(searched)} of ${bytes(size)} were searched.` : '';
  const newest = total > matches.length ? ` The last ${count(matches.length)} are listed.` : '';
  return (
    <>
      <p className="imgcls-muted" role="status">
        {total === 0
          ? 'No line holds this text.'
          : `${plural(total, 'line')} ${total === 1 ? 'holds' : 'hold'} this text.`}
        {newest}
        {bound}
      </p>
      {matches.length > 0 && (
        <ol className="imgcls-log-matches" aria-label="Lines that hold the text">
          {matches.map(match => (
            <li key={match.offset}>
              <button type="button" aria-current={match.offset === open} onClick={() => onOpen(match.offset)}>
                <span className="imgcls-muted imgcls-num">{match.line}</span>
                <span className="imgcls-clip">
                  <Found text={match.text} wanted={wanted} />
                </span>
              </button>
            </li>
          ))}
        </ol>
      )}
    </>
  );
}
