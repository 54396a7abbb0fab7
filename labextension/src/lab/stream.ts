// All subscriptions of a page over one WebSocket. After a broken connection it connects again with growing pauses and
// subscribes each topic from where it had come. Knows sockets and topics; no Lab, no view.
import type { BatchOf, ConnectionState } from '../views/data/source';
import type { Batch, StreamMessage, Topic } from '../views/data/types';

/** What is used of a WebSocket. */
export type Socket = Pick<WebSocket, 'send' | 'close' | 'onopen' | 'onmessage' | 'onclose'>;

interface Subscription {
  topic: Topic;
  onBatch: (batch: never) => void;
  onState: (connection: ConnectionState) => void;
}

const FIRST_PAUSE = 500; // ms
const LONGEST_PAUSE = 15_000;
const IDLE = 2_000; // ms that an unused socket stays open, for the next view

/** The topic from behind a batch on. */
function advance(topic: Topic, batch: Batch): Topic {
  if (topic.kind === 'metrics' && batch.kind === 'metrics') {
    return { ...topic, since: { ...topic.since, ...batch.cursors } };
  }
  if (topic.kind === 'log' && batch.kind === 'log') return { ...topic, offset: batch.chunk.end };
  return topic;
}

export class Stream {
  readonly #open: () => Socket;
  readonly #random: () => number;
  readonly #subscriptions = new Map<number, Subscription>();
  #socket: Socket | null = null;
  #ready = false;
  #tries = 0;
  #next = 1;
  #pause: ReturnType<typeof setTimeout> | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;

  constructor(open: () => Socket, random: () => number = Math.random) {
    this.#open = open;
    this.#random = random;
  }

  subscribe<T extends Topic>(
    topic: T,
    onBatch: (batch: BatchOf[T['kind']]) => void,
    onState: (connection: ConnectionState) => void,
    signal: AbortSignal,
  ): void {
    if (signal.aborted) return;
    const id = this.#next++;
    this.#subscriptions.set(id, { topic, onBatch: onBatch as (batch: never) => void, onState });
    signal.addEventListener('abort', () => this.#drop(id));
    if (this.#ready) {
      this.#send(id, topic);
      onState('live');
      return;
    }
    onState(this.#tries > 0 ? 'reconnecting' : 'connecting');
    clearTimeout(this.#idle);
    if (!this.#socket && this.#pause === undefined) this.#connect();
  }

  /** Try now, where a pause was going on: the page is looked at again, or the network is back. */
  readonly hurry = (): void => {
    if (this.#socket || this.#subscriptions.size === 0) return;
    this.#rest();
    this.#connect();
  };

  #connect(): void {
    let socket: Socket;
    try {
      socket = this.#socket = this.#open();
    } catch {
      this.#retry();
      return;
    }
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      this.#ready = true;
      this.#tries = 0;
      for (const [id, { topic }] of this.#subscriptions) this.#send(id, topic);
      this.#report('live');
    };
    socket.onmessage = event => socket === this.#socket && this.#take(String(event.data));
    socket.onclose = () => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      this.#ready = false;
      this.#retry();
    };
  }

  #retry(): void {
    if (this.#subscriptions.size === 0) return;
    this.#report('reconnecting');
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#tries++) * (0.75 + this.#random() / 2);
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#connect();
    }, pause);
  }

  #take(text: string): void {
    const message = JSON.parse(text) as StreamMessage;
    const subscription = this.#subscriptions.get(message.id);
    if (!subscription) return;
    if (message.error != null) subscription.onState('gap');
    if (!message.batch) return;
    subscription.topic = advance(subscription.topic, message.batch);
    subscription.onBatch(message.batch as never);
  }

  #send(id: number, topic: Topic): void {
    this.#socket?.send(JSON.stringify({ op: 'subscribe', id, topic }));
  }

  #drop(id: number): void {
    if (!this.#subscriptions.delete(id)) return;
    if (this.#ready) this.#socket?.send(JSON.stringify({ op: 'unsubscribe', id }));
    if (this.#subscriptions.size > 0) return;
    this.#rest();
    this.#tries = 0;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.#subscriptions.size > 0) return;
      const socket = this.#socket;
      this.#socket = null;
      this.#ready = false;
      socket?.close();
    }, IDLE);
  }

  #rest(): void {
    clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  #report(connection: ConnectionState): void {
    for (const { onState } of [...this.#subscriptions.values()]) onState(connection);
  }
}
