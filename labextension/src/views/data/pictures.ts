// The pictures that views show, one store a source. A picture that no view shows is not asked for; those that were
// shown last stay as Blob URLs, so that a grid that is scrolled back does not flicker. It never draws.
import type { PictureRequest } from './asked';
import { SourceError, messageOf, type Source } from './source';

const AT_ONCE = 5; // a browser has six connections to a server, and other questions need one
const SETTLE = 25; // ms: what is scrolled past meanwhile is not asked for
const KEPT = 1200; // pictures that no view shows
const KEPT_BYTES = 48e6;

/** A picture as far as it is there. `error`: why it cannot be shown, a sentence. */
export interface Picture {
  url?: string;
  error?: string;
}

interface Entry {
  key: string;
  request: PictureRequest;
  picture: Picture;
  bytes: number;
  asked: AbortController | null;
  viewers: Set<() => void>;
}

const NOTHING: Picture = {};

export class PictureStore {
  readonly #source: Source;
  readonly #entries = new Map<string, Entry>();
  readonly #idle = new Set<Entry>(); // loaded and shown by nobody, the oldest first
  readonly #waiting = new Set<Entry>();
  #idleBytes = 0;
  #asking = 0;
  #settling = false;

  constructor(source: Source) {
    this.#source = source;
  }

  /** Show a picture: `changed` is called when more of it is there, until the returned function is called. */
  show(request: PictureRequest, changed: () => void): () => void {
    const key = JSON.stringify(request);
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { key, request, picture: NOTHING, bytes: 0, asked: null, viewers: new Set() };
      this.#entries.set(key, entry);
      this.#waiting.add(entry);
      if (!this.#settling) setTimeout(this.#ask, SETTLE);
      this.#settling = true;
    } else if (this.#idle.delete(entry)) this.#idleBytes -= entry.bytes;
    entry.viewers.add(changed);
    const shown = entry;
    return () => {
      shown.viewers.delete(changed);
      if (shown.viewers.size === 0) this.#rest(shown);
    };
  }

  /** What is there of a picture by now. */
  picture(request: PictureRequest): Picture {
    return this.#entries.get(JSON.stringify(request))?.picture ?? NOTHING;
  }

  /** Nobody shows it: keep it if it is there, else forget it. */
  #rest(entry: Entry): void {
    if (entry.picture.url) {
      this.#idle.add(entry);
      this.#idleBytes += entry.bytes;
      for (const oldest of this.#idle) {
        if (this.#idle.size <= KEPT && this.#idleBytes <= KEPT_BYTES) break;
        this.#idle.delete(oldest);
        this.#idleBytes -= oldest.bytes;
        this.#entries.delete(oldest.key);
        URL.revokeObjectURL(oldest.picture.url!);
      }
      return;
    }
    this.#waiting.delete(entry);
    this.#entries.delete(entry.key);
    entry.asked?.abort();
  }

  readonly #ask = (): void => {
    this.#settling = false;
    for (const entry of this.#waiting) {
      if (this.#asking >= AT_ONCE) return;
      this.#waiting.delete(entry);
      void this.#load(entry);
    }
  };

  async #load(entry: Entry): Promise<void> {
    const asked = (entry.asked = new AbortController());
    this.#asking += 1;
    try {
      const blob = await this.#source.image(entry.request, asked.signal);
      if (asked.signal.aborted) return;
      if (blob.size === 0) throw new SourceError('The server sent no picture.');
      entry.bytes = blob.size;
      entry.picture = { url: URL.createObjectURL(blob) };
    } catch (error) {
      if (asked.signal.aborted) return;
      entry.picture = { error: messageOf(error) };
    } finally {
      this.#asking -= 1;
      this.#ask();
    }
    for (const changed of entry.viewers) changed();
  }
}

const stores = new WeakMap<Source, PictureStore>();

export function picturesOf(source: Source): PictureStore {
  let store = stores.get(source);
  if (!store) stores.set(source, (store = new PictureStore(source)));
  return store;
}
