// The source of a gallery in a cell: the kernel's pictures, and nothing else.
import type { PictureRequest } from '../views/data/asked';
import { SourceError, type Source } from '../views/data/source';
import { Questions, type Channel } from './channel';
import type { Message } from './messages';

/** What this file needs of anywidget's model. */
export interface GalleryModel extends Channel {
  get(name: 'gallery'): Record<string, unknown>;
  on(name: 'msg:custom', handler: (message: Message, buffers: DataView[]) => void): void;
  off(name: string, handler: (...args: never[]) => void): void;
}

export class GallerySource implements Source {
  readonly #questions: Questions;

  constructor(model: GalleryModel, signal: AbortSignal) {
    this.#questions = new Questions(model, signal);
    const onMessage = (message: Message, buffers: DataView[]) =>
      message.op === 'reply' && this.#questions.take(message, buffers);
    model.on('msg:custom', onMessage);
    signal.addEventListener('abort', () => model.off('msg:custom', onMessage));
  }

  image(request: PictureRequest, signal: AbortSignal): Promise<Blob> {
    return this.#questions.picture(request, signal);
  }

  query(): Promise<never> {
    return Promise.reject(new SourceError('A gallery in a cell has its pictures alone.'));
  }

  command(): Promise<never> {
    return this.query();
  }

  subscribe(): void {
    // nothing of it changes
  }
}
