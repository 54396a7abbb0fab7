// A difference of files as git prints it: what was added and what was removed in colours, besides the sign.
import { count, plural } from './format';
import './diff.css';

const SHOWN_LINES = 4000;

export const linesOf = (diff: string): string[] => (diff ? diff.replace(/\n$/, '').split('\n') : []);

const toneOf = (line: string): string | undefined =>
  /^(\+\+\+|---|diff |index )/.test(line)
    ? 'imgcls-diff-file'
    : line.startsWith('+')
      ? 'imgcls-diff-added'
      : line.startsWith('-')
        ? 'imgcls-diff-removed'
        : line.startsWith('@@')
          ? 'imgcls-diff-place'
          : undefined;

interface Props {
  label: string;
  diff: string;
  /** It was cut where it was made. */
  cut: boolean;
  /** What is said where nothing differs. */
  none: string;
  /** Of one that is longer than what is shown: where the rest is, or why there is no more. */
  more: string;
}

export function Diff({ label, diff, cut, none, more }: Props) {
  const lines = linesOf(diff);
  if (lines.length === 0) return <p className="imgcls-muted">{none}</p>;
  const shown = Math.min(lines.length, SHOWN_LINES);
  return (
    <>
      {(cut || lines.length > shown) && (
        <p className="imgcls-muted">
          The first {plural(shown, 'line')}
          {cut ? '; ' : ` of ${count(lines.length)}; `}
          {more}
        </p>
      )}
      <pre className="imgcls-diff" tabIndex={0} aria-label={label}>
        {lines.slice(0, SHOWN_LINES).map((line, i) => (
          <span key={i} className={toneOf(line)}>
            {line}
            {'\n'}
          </span>
        ))}
      </pre>
    </>
  );
}
