// Questions of a page to its kernel, over the widget's own messages, and their answers.
import { SourceError } from '../views/data/source';
import type { ReplyMessage } from './messages';

/** What this file needs of anywidget's model. */
export interface Channel {
  send(content: unknown): void;
}

interface Waiting {
  resolve: (result: never) => void;
  reject: (error: Error) => void;
}

export class Questions {
  readonly #channel: Channel;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;

  constructor(channel: Channel, signal: AbortSignal) {
    this.#channel = channel;
    signal.addEventListener('abort', () => {
      for (const { reject } of this.#waiting.values()) reject(new SourceError('The cell was closed.'));
      this.#waiting.clear();
    });
  }

  /** A question that only the kernel can answer; where that has no subshells it waits while a cell runs. */
  ask(question: Record<string, unknown>, signal?: AbortSignal): Promise<unknown> {
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      signal?.addEventListener('abort', () => {
        this.#waiting.delete(id);
        reject(signal.reason);
      });
      this.#channel.send({ ...question, id });
    });
  }

  /** A picture as the kernel answers it. */
  async picture(request: unknown, signal: AbortSignal): Promise<Blob> {
    const bytes = (await this.ask({ op: 'picture', request }, signal)) as DataView<ArrayBuffer>;
    return new Blob([bytes], { type: 'image/webp' });
  }

  take(message: ReplyMessage, buffers: DataView[]): void {
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.error) waiting?.reject(new SourceError(message.error.message, message.error.status));
    else waiting?.resolve((buffers[0] ?? message.result) as never); // a picture comes as a buffer
  }
}
