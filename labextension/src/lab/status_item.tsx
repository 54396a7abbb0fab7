// The status bar item: the views' status line, in the words of the user's language.
import { ReactWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { SourceProvider, type Source } from '../views/data/source';
import type { Recorder } from '../views/ui/host';
import { RecorderStatus } from '../views/pages/recorder_line';
import { StatusLine } from '../views/pages/status_line';

export function statusItem(
  source: Source,
  recorder: Recorder,
  trans: TranslationBundle,
  onOpen: () => void,
): ReactWidget {
  const words = {
    running: (runs: number) => trans.__('%1 running', runs),
    queued: (runs: number) => trans.__('%1 queued', runs),
    title: trans.__('Show Image Lab'),
  };
  const widget = ReactWidget.create(
    <SourceProvider value={source}>
      <StatusLine words={words} onOpen={onOpen} />
      <RecorderStatus
        recorder={recorder}
        label={trans.__('Recording')}
        title={trans.__('Actions of Image Lab are recorded into')}
        onOpen={onOpen}
      />
    </SourceProvider>,
  );
  widget.addClass('imgcls');
  widget.addClass('imgcls-status-item');
  return widget;
}
