// Alerts as notifications: each once, and none of what happened before the page was opened.
import type { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Source } from '../views/data/source';
import type { Alert } from '../views/data/types';

type Emit = typeof Notification.emit;

const TYPES = {
  finished: 'success',
  failed: 'error',
  lost: 'warning',
  stalled: 'warning',
  disk: 'warning',
} as const;
// ms on the screen; after that it is in Lab's list of notifications, and what went wrong in the panel's, too
const SHORT = 8000;
const LONG = 20_000;
const MISSED = 50; // alerts at most that are told after a broken link

/** Tell of each alert until `signal` aborts. `open` shows its run. */
export function notify(
  source: Source,
  trans: TranslationBundle,
  wanted: () => boolean,
  open: (runId: string) => void,
  emit: Emit,
  signal: AbortSignal,
): void {
  const known = new Set<string>();
  let begun = false;
  const tell = (alert: Alert, aloud: boolean) => {
    const news = !known.has(alert.id);
    known.add(alert.id);
    if (!news || !aloud || !wanted()) return;
    const { run_id } = alert;
    const actions = run_id ? [{ label: trans.__('Open'), callback: () => open(run_id) }] : [];
    emit(alert.text, TYPES[alert.kind], { autoClose: alert.kind === 'finished' ? SHORT : LONG, actions });
  };
  /** The first look learns what is old; each later one finds what a broken link has missed. */
  const look = async () => {
    const alerts = await source.query('alerts', { limit: MISSED }, signal);
    for (const alert of [...alerts].reverse()) tell(alert, begun);
    begun = true;
  };
  source.subscribe(
    { kind: 'alerts' },
    batch => batch.alerts.forEach(alert => tell(alert, true)),
    link => {
      if (link === 'live' || link === 'gap') look().catch(() => undefined); // the next live link looks again
    },
    signal,
  );
}
