// The status bar item: "2 running · 1 queued", or nothing while nothing runs or waits.
import { ReactWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { useFeed } from '../views/hooks';
import { SourceProvider, type Source } from '../views/source';
import { Dot, LinkState } from '../views/states';
import { LIVE } from '../views/types';

function Status({ trans, onOpen }: { trans: TranslationBundle; onOpen: () => void }) {
  const { counts, link } = useFeed();
  const running = LIVE.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  const queued = counts.queued ?? 0;
  const parts = [
    running > 0 && trans.__('%1 running', running),
    queued > 0 && trans.__('%1 queued', queued),
  ].filter(Boolean);
  if (parts.length === 0 && link !== 'reconnecting') return null;
  return (
    <button type="button" className="imgcls-status" title={trans.__('Show Image Lab')} onClick={onOpen}>
      {running > 0 && <Dot state="running" />}
      <span className="imgcls-num">{parts.join(' · ')}</span>
      <LinkState link={link} />
    </button>
  );
}

export function statusItem(source: Source, trans: TranslationBundle, onOpen: () => void): ReactWidget {
  const widget = ReactWidget.create(
    <SourceProvider value={source}>
      <Status trans={trans} onOpen={onOpen} />
    </SourceProvider>,
  );
  widget.addClass('imgcls');
  widget.addClass('imgcls-status-item');
  return widget;
}
