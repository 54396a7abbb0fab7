// What was done last: a sentence, Undo where that is possible, and each run that was refused with the reason.
import { plural } from '../ui/format';
import { Problem } from '../ui/messages';
import type { Outcome } from './run_actions';
import type { RunActions } from './use_run_actions';
import '../ui/button.css';
import './outcome_note.css';

const SHOWN = 20; // runs that were refused

export function OutcomeNote({ actions }: { actions: RunActions }) {
  const { outcome, error, busy, undo, dismiss } = actions;
  if (!outcome && !error) return null;
  return (
    <div className="imgcls-outcome" role="status">
      {outcome && (
        <span>
          {outcome.text}
          {outcome.undo && (
            <>
              {' '}
              <button type="button" className="imgcls-plain" disabled={busy} onClick={undo}>
                Undo
              </button>
            </>
          )}
        </span>
      )}
      <Problem>{error}</Problem>
      {outcome && <RefusedRuns refused={outcome.refused} />}
      <span className="imgcls-spacer" />
      <button type="button" className="imgcls-plain" aria-label="Close this message" onClick={dismiss}>
        <span aria-hidden="true">✕</span>
      </button>
    </div>
  );
}

/** The runs that stay as they are, or would, each with the reason. */
export function RefusedRuns({ refused, would }: { refused: Outcome['refused']; would?: boolean }) {
  if (refused.length === 0) return null;
  return (
    <details open={refused.length <= 3}>
      <summary>
        {would
          ? plural(refused.length, 'run stays', 'runs stay')
          : plural(refused.length, 'run stays as it was', 'runs stay as they were')}
      </summary>
      <ul>
        {refused.slice(0, SHOWN).map(({ name, message }) => (
          <li key={`${name} ${message}`} className="imgcls-note">
            <b>{name}</b>: {message}
          </li>
        ))}
        {refused.length > SHOWN && <li className="imgcls-note">and {refused.length - SHOWN} more</li>}
      </ul>
    </details>
  );
}
