// What went wrong lately: runs that failed, were lost or stand still, and disks nearly full. Each can be put away, for
// this user everywhere; the trials of a sweep are one row.
import { useEffect, useState } from 'react';
import { messageOf, useSource } from '../data/source';
import { useSubscription, type Subscription } from '../data/use_subscription';
import type { Alert, AlertsTopic } from '../data/types';
import { ago, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { Sentence } from '../ui/sentence';
import { useNavigate } from '../ui/navigation';
import { UNDO_FOR } from '../ui/undo';
import { Section } from './sidebar_section';
import '../ui/button.css';
import './alerts.css';
import './run_row.css';

const SHOWN = 5;
const KEPT = 300; // those of a sweep's trials among them
const FIRST = { limit: KEPT };
const LATELY = 24 * 3600; // seconds

const byTime = (alerts: Alert[], more: Alert[]): Alert[] => {
  const all = new Map([...alerts, ...more].map(alert => [alert.id, alert]));
  return [...all.values()].sort((a, b) => b.created_at - a.created_at).slice(0, KEPT);
};

/** The alerts, of which some were put away or taken back. */
const marked = (alerts: Alert[], ids: readonly string[], dismissed: boolean): Alert[] => {
  const some = new Set(ids);
  return some.size > 0 ? alerts.map(alert => (some.has(alert.id) ? { ...alert, dismissed } : alert)) : alerts;
};

const ALERTS: Subscription<'alerts', AlertsTopic, Alert[]> = {
  query: 'alerts',
  begin: (reply, alerts = []) => byTime(reply, alerts),
  topic: { kind: 'alerts' },
  merge: (alerts = [], { alerts: more, dismissed = [], restored = [] }) =>
    marked(marked(byTime(alerts, more), dismissed, true), restored, false),
};

/** What stands in one row: an alert, or those of the trials of a sweep. */
interface Row {
  key: string;
  ids: string[];
  kind: Alert['kind'];
  text: string;
  run: string | null;
  at: number;
}

/** What happened to so many trials of a sweep. */
const TRIALS: Record<Alert['kind'], (trials: number) => string> = {
  finished: trials => `${trials === 1 ? 'a trial has' : `${trials} trials have`} finished`,
  failed: trials => `${trials === 1 ? 'a trial' : `${trials} trials`} failed`,
  lost: trials => `${trials === 1 ? 'a trial was' : `${trials} trials were`} lost`,
  stalled: trials => (trials === 1 ? 'a trial stands still' : `${trials} trials stand still`),
  disk: () => 'the disk of its trials is nearly full',
};

/** Newest first. A sweep has a row for each kind of thing that happened to its trials. */
export function rowsOf(alerts: readonly Alert[]): Row[] {
  const rows = new Map<string, Row>();
  for (const { id, kind, text, run_id, sweep_id, sweep_name, created_at } of alerts) {
    const key = sweep_id ? `${sweep_id} ${kind}` : id;
    const row = rows.get(key);
    if (row) row.ids.push(id);
    else rows.set(key, { key, ids: [id], kind, text, run: sweep_id ?? run_id, at: created_at });
    if (sweep_id) {
      const { ids } = rows.get(key)!;
      rows.get(key)!.text = `“${sweep_name}”: ${TRIALS[kind](ids.length)}.`;
    }
  }
  return [...rows.values()];
}

/** Puts alerts away and takes that back. `local`: what this page knows before the server tells it. */
function useDismissal() {
  const source = useSource();
  const [local, setLocal] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [undone, setUndone] = useState<string[]>([]); // what Undo would take back
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    if (undone.length === 0) return;
    const timer = setTimeout(() => setUndone([]), UNDO_FOR);
    return () => clearTimeout(timer);
  }, [undone]);
  const send = async (verb: 'dismiss' | 'restore', ids: string[]) => {
    setError(null);
    try {
      const moved = await source.command(`alerts.${verb}`, { ids });
      setLocal(was => new Map([...was, ...moved.ids.map(id => [id, verb === 'dismiss'] as const)]));
      setUndone(verb === 'dismiss' ? moved.ids : []);
    } catch (problem) {
      setError(messageOf(problem));
    }
  };
  return {
    isAway: (alert: Alert) => local.get(alert.id) ?? alert.dismissed ?? false,
    undone,
    error,
    dismiss: (ids: string[]) => void send('dismiss', ids),
    undo: () => void send('restore', undone),
  };
}

function AlertRow({ row, now, onDismiss }: { row: Row; now: number; onDismiss: () => void }) {
  const navigate = useNavigate();
  const { kind, text, run, at } = row;
  const words = (
    <>
      <span className="imgcls-note">
        <Sentence text={text} />
      </span>
      <span className="imgcls-muted imgcls-num">{ago(at, now)}</span>
    </>
  );
  return (
    <div className="imgcls-alert" data-alert={kind}>
      {run ? (
        <button
          type="button"
          className="imgcls-row imgcls-run-row"
          onClick={() => navigate({ view: 'run', id: run })}
        >
          {words}
        </button>
      ) : (
        <div className="imgcls-row">{words}</div>
      )}
      <button
        type="button"
        className="imgcls-plain imgcls-dismiss"
        aria-label={`Dismiss: ${text}`}
        title="Dismiss"
        onClick={onDismiss}
      >
        <span aria-hidden="true">✕</span>
      </button>
    </div>
  );
}

export function Alerts({ now }: { now: number }) {
  const { data: alerts = [] } = useSubscription(ALERTS, FIRST); // its error is said where the runs are
  const { isAway, undone, error, dismiss, undo } = useDismissal();
  const lately = alerts.filter(
    item => item.kind !== 'finished' && now - item.created_at < LATELY && !isAway(item),
  );
  const rows = rowsOf(lately);
  if (rows.length === 0 && undone.length === 0 && !error) return null;
  const all = (
    <button
      type="button"
      className="imgcls-plain imgcls-side-link"
      onClick={() => dismiss(lately.map(({ id }) => id))}
    >
      dismiss {rows.length > 1 ? `all ${rows.length}` : 'it'}
    </button>
  );
  return (
    <Section title="Alerts" aside={rows.length > 0 && all}>
      {rows.slice(0, SHOWN).map(row => (
        <AlertRow key={row.key} row={row} now={now} onDismiss={() => dismiss(row.ids)} />
      ))}
      {rows.length > SHOWN && (
        <p className="imgcls-row imgcls-muted">and {plural(rows.length - SHOWN, 'more alert')}</p>
      )}
      {undone.length > 0 && (
        <p className="imgcls-row imgcls-note" role="status">
          <span>
            {plural(undone.length, 'alert')} dismissed.{' '}
            <button type="button" className="imgcls-plain" onClick={undo}>
              Undo
            </button>
          </span>
        </p>
      )}
      {error && (
        <div className="imgcls-row">
          <Problem>{error}</Problem>
        </div>
      )}
    </Section>
  );
}
