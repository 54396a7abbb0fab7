// The notebook widgets: what anywidget loads. It draws the host-free views of cells over the widget's messages: a live
// run, or a gallery of images.
import '../views/ui/base.css'; // first, so that each view's own style goes over it
import type { ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import { Gallery } from '../views/live/gallery';
import { galleryOf } from '../views/live/gallery_data';
import { LiveRun } from '../views/live/live_run';
import { CommSource, type Model } from './comm_source';
import { GallerySource, type GalleryModel } from './gallery_source';

interface AnyModel {
  get(name: 'view'): 'run' | 'gallery';
}

interface Lifetime {
  model: AnyModel;
  signal: AbortSignal;
}

/** The view of a model. Its source listens before the first view is drawn. */
function viewOf(model: AnyModel, signal: AbortSignal): () => ReactElement | null {
  if (model.get('view') === 'gallery') {
    const gallery = model as unknown as GalleryModel;
    const source = new GallerySource(gallery, signal);
    const data = galleryOf(gallery.get('gallery'));
    // the kernel knows the images of its gallery by their ids alone
    const pictureOf = (image: string) => ({ kind: 'dataset', id: 0, image }) as const;
    return () => data && <Gallery {...{ source, data, pictureOf }} />;
  }
  const run = model as unknown as Model;
  const source = new CommSource(run, signal);
  return () => <LiveRun source={source} runId={run.get('run_id')} />;
}

/** Called once a model: a cell that is shown twice shares one source. */
export default function widget() {
  let view: () => ReactElement | null;
  return {
    initialize({ model, signal }: Lifetime): void {
      view = viewOf(model, signal);
    },
    render({ el, signal }: Lifetime & { el: HTMLElement }): void {
      const root = createRoot(el);
      root.render(view());
      signal.addEventListener('abort', () => root.unmount());
    },
  };
}
