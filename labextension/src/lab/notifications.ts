// Alerts as notifications: each once, and none of what happened before the page was opened.
import type { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { NEWEST_ALERTS } from '../views/data/schemas';
import type { Source } from '../views/data/source';
import type { Alert } from '../views/data/types';
import type { Preferences } from '../views/ui/preferences';

type Emit = typeof Notification.emit;

const TYPES = {
  finished: 'success',
  failed: 'error',
  lost: 'warning',
  stalled: 'warning',
  disk: 'warning',
} as const;
// ms on the screen; after that it is in Lab's list of notifications, and what went wrong in the panel's, too
export const SHORT = 8000;
const LONG = 20_000;
const AT_ONCE = 3; // runs that have ended well and are told one by one; of more only how many

/** Whether an alert is shown at a level. A sweep tells its own end, once; of its trials only who wants all is told. */
function isWanted({ kind, sweep_id, dismissed }: Alert, level: Preferences['notifications']): boolean {
  if (dismissed || level === 'none') return false;
  return level === 'all' || (!sweep_id && (level === 'ends' || kind !== 'finished'));
}

/** Show each alert until `signal` aborts. `open` shows its run. */
export function notify(
  source: Source,
  trans: TranslationBundle,
  level: () => Preferences['notifications'],
  open: (runId: string) => void,
  emit: Emit,
  signal: AbortSignal,
): void {
  const known = new Set<string>();
  let begun = false;
  const show = ({ kind, text, run_id }: Alert) => {
    const actions = run_id ? [{ label: trans.__('Open'), callback: () => open(run_id) }] : [];
    emit(text, TYPES[kind], { autoClose: kind === 'finished' ? SHORT : LONG, actions });
  };
  const report = (alerts: readonly Alert[], isNew: boolean) => {
    const news = alerts.filter(({ id }) => !known.has(id) && known.add(id));
    const wanted = isNew ? news.filter(alert => isWanted(alert, level())) : [];
    const ends = wanted.filter(({ kind }) => kind === 'finished');
    const many = ends.length > AT_ONCE;
    for (const alert of wanted) if (!many || alert.kind !== 'finished') show(alert);
    if (many)
      emit(trans.__('%1 runs have finished. The panel lists them.', ends.length), 'success', {
        autoClose: SHORT,
        actions: [],
      });
  };
  /** The first query learns what is old; each later one finds what was missed while the connection was broken. */
  const query = async () => {
    const alerts = await source.query('alerts', { limit: NEWEST_ALERTS }, signal);
    report([...alerts].reverse(), begun);
    begun = true;
  };
  source.subscribe(
    { kind: 'alerts' },
    batch => report(batch.alerts, begun), // the first batch has those from before, too
    connection => {
      if (connection === 'live' || connection === 'gap') query().catch(() => undefined); // asked again when the connection is back
    },
    signal,
  );
}
