// Alerts as notifications: each once, and none of what happened before the page was opened.
import type { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { NEWEST_ALERTS } from '../views/data/schemas';
import type { Source } from '../views/data/source';
import type { Alert } from '../views/data/types';
import type { Preferences } from '../views/ui/preferences';

type Toasts = Pick<typeof Notification, 'emit' | 'update' | 'dismiss'>;

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
const AT_ONCE = 3; // ends that are on the screen one by one; of more only how many

/** Ends of one kind while they are on the screen: a few one by one, of more how many, in one notification. */
class Ends {
  private ids: string[] = [];
  private together: string | null = null;
  private count = 0;
  private until = 0;

  constructor(
    private readonly toasts: Toasts,
    private readonly autoClose: number,
    private readonly type: Notification.TypeOptions,
    private readonly sentence: (count: number) => string,
  ) {}

  add(alerts: readonly Alert[], show: (alert: Alert) => string): void {
    if (alerts.length === 0) return;
    if (Date.now() > this.until) Object.assign(this, { ids: [], together: null, count: 0 });
    this.until = Date.now() + this.autoClose;
    this.count += alerts.length;
    if (this.count > AT_ONCE) this.showTogether();
    else this.ids.push(...alerts.map(show));
  }

  private showTogether(): void {
    for (const id of this.ids.splice(0)) this.toasts.dismiss(id);
    const [message, options] = [this.sentence(this.count), { autoClose: this.autoClose, actions: [] }];
    const { together: id, type } = this;
    if (id === null || !this.toasts.update({ id, message, type, ...options }))
      this.together = this.toasts.emit(message, type, options);
  }
}

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
  toasts: Toasts,
  signal: AbortSignal,
): void {
  const known = new Set<string>();
  let begun = false;
  const show = ({ kind, text, run_id }: Alert) => {
    const actions = run_id ? [{ label: trans.__('Open'), callback: () => open(run_id) }] : [];
    return toasts.emit(text, TYPES[kind], { autoClose: kind === 'finished' ? SHORT : LONG, actions });
  };
  const ends = {
    finished: new Ends(toasts, SHORT, 'success', n =>
      trans.__('%1 runs have finished. The panel lists them.', n),
    ),
    failed: new Ends(toasts, LONG, 'error', n => trans.__('%1 runs have failed. The panel lists them.', n)),
  };
  const report = (alerts: readonly Alert[], isNew: boolean) => {
    const news = alerts.filter(({ id }) => !known.has(id) && known.add(id));
    const wanted = isNew ? news.filter(alert => isWanted(alert, level())) : [];
    for (const alert of wanted) if (!(alert.kind in ends)) show(alert);
    for (const [kind, those] of Object.entries(ends))
      those.add(
        wanted.filter(alert => alert.kind === kind),
        show,
      );
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
