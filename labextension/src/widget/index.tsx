// The notebook widget: what anywidget loads. It draws the host-free live view over the widget's messages.
import '../views/ui/base.css'; // first, so that each view's own style goes over it
import { createRoot } from 'react-dom/client';
import { LiveRun } from '../views/live/live_run';
import { CommSource, type Model } from './comm_source';

interface Lifetime {
  model: Model;
  signal: AbortSignal;
}

/** Called once a model: a cell that is shown twice shares one source, which listens before the first view is drawn. */
export default function widget() {
  let source: CommSource;
  return {
    initialize({ model, signal }: Lifetime): void {
      source = new CommSource(model, signal);
    },
    render({ model, el, signal }: Lifetime & { el: HTMLElement }): void {
      const root = createRoot(el);
      root.render(<LiveRun source={source} runId={model.get('run_id')} />);
      signal.addEventListener('abort', () => root.unmount());
    },
  };
}
