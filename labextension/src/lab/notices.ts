// What to say when a run has ended: once a run and attempt, and never of what had ended before the page was opened.
import type { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { metric, metricTitle } from '../views/format';
import { isActive, type RunView } from '../views/types';

type Emit = typeof Notification.emit;

/** A listener for the feed that tells of ended runs. */
export function notify(
  trans: TranslationBundle,
  wanted: () => boolean,
  open: (run: RunView) => void,
  emit: Emit,
): (before: RunView | undefined, now: RunView) => void {
  return (before, now) => {
    if (!before || !isActive(before.state) || isActive(now.state) || !wanted()) return;
    const best = now.best
      ? ` · ${metricTitle(now.best.metric)} ${metric(now.best.metric, now.best.value)}`
      : '';
    const actions = [{ label: trans.__('Open'), callback: () => open(now) }];
    if (now.state === 'succeeded') {
      emit(trans.__('“%1” has finished%2', now.name, best), 'success', { autoClose: 8000, actions });
    } else if (now.state === 'failed') {
      emit(trans.__('“%1” failed: %2', now.name, now.message ?? ''), 'error', { autoClose: false, actions });
    }
  };
}
