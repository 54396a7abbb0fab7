// The source of a live cell: what the kernel pushes about one run, over the widget's own messages. The kernel speaks
// first and by itself, since some kernels answer no question while a cell runs; a gap in the numbers asks for a new
// snapshot.
import { SeriesStore } from '../views/data/series_store';
import type { PictureRequest } from '../views/data/asked';
import type { Args, Command, Params, Query, Reply, Result } from '../views/data/requests';
import { SourceError, type BatchOf, type ConnectionState, type Source } from '../views/data/source';
import {
  isActive,
  type MetricsBatch,
  type RunDetail,
  type RunPage,
  type Series,
  type SeriesReply,
  type Topic,
} from '../views/data/types';
import { Questions, type Channel } from './channel';
import { batchOf, repliedBy, type Message, type Snapshot } from './messages';

/** What this file needs of anywidget's model. */
export interface Model extends Channel {
  get(name: 'snapshot'): Snapshot | null;
  get(name: 'run_id'): string;
  on(name: 'msg:custom', handler: (message: Message, buffers: DataView[]) => void): void;
  on(name: 'change:snapshot', handler: () => void): void;
  off(name: string, handler: (...args: never[]) => void): void;
}

const PATIENCE = 15_000; // ms without a word of the kernel, which speaks every five seconds
const UNHEARD =
  'The kernel has not answered yet. If it executes a cell, it may hear this only when that has ended.';

interface Listener {
  topic: Topic;
  onBatch: (batch: never) => void;
  onState: (connection: ConnectionState) => void;
}

export class CommSource implements Source {
  readonly #model: Model;
  readonly #store = new SeriesStore();
  readonly #tags = new Set<string>();
  readonly #listeners = new Set<Listener>();
  readonly #questions: Questions;
  readonly #firstRun: Promise<void>;
  #hasRun: () => void = () => undefined;
  #run: RunDetail | null = null;
  #seq = -1;
  #gap = false;
  #still = false;
  #heard = Date.now(); // ms: when the kernel said something last

  constructor(model: Model, signal: AbortSignal) {
    this.#model = model;
    this.#questions = new Questions(model, signal);
    this.#firstRun = new Promise(resolve => (this.#hasRun = resolve));
    const onMessage = (message: Message, buffers: DataView[]) => {
      this.#hear();
      this.#take(message, buffers);
    };
    const onSnapshot = () => {
      this.#hear();
      this.#adopt();
    };
    const watch = setInterval(() => this.#listen(), PATIENCE / 5);
    model.on('msg:custom', onMessage);
    model.on('change:snapshot', onSnapshot);
    signal.addEventListener('abort', () => {
      model.off('msg:custom', onMessage);
      model.off('change:snapshot', onSnapshot);
      this.#listeners.clear();
      clearInterval(watch);
    });
    this.#adopt();
    model.send({ op: 'resync' }); // batches may have passed before this page listened
  }

  async query<K extends Query>(kind: K, params: Params[K], signal: AbortSignal): Promise<Result[K]> {
    if (kind === 'run' || kind === 'runs' || kind === 'series') {
      await this.#firstRun;
      const answer =
        kind === 'run'
          ? this.#run
          : kind === 'runs'
            ? this.#page(params as Params['runs'])
            : this.#series(params as Params['series']);
      return answer as Result[K];
    }
    return this.#questions.ask({ op: 'query', kind, params }, signal) as Promise<Result[K]>;
  }

  subscribe<T extends Topic>(
    topic: T,
    onBatch: (batch: BatchOf[T['kind']]) => void,
    onState: (connection: ConnectionState) => void,
    signal: AbortSignal,
  ): void {
    if (signal.aborted) return;
    const listener: Listener = { topic, onBatch: onBatch as Listener['onBatch'], onState };
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => this.#listeners.delete(listener));
    onState(this.#still ? 'still' : this.#run ? 'live' : 'connecting');
  }

  image(request: PictureRequest, signal: AbortSignal): Promise<Blob> {
    return this.#questions.picture(request, signal);
  }

  command<K extends Command>(name: K, args: Args[K]): Promise<Reply[K]> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new SourceError(UNHEARD)), PATIENCE);
    const reply = this.#questions.ask({ op: 'command', name, args }, late.signal);
    return reply.finally(() => clearTimeout(timer)) as Promise<Reply[K]>;
  }

  #hear(): void {
    this.#heard = Date.now();
    if (!this.#still) return;
    this.#still = false;
    for (const { onState } of this.#listeners) onState('live');
  }

  /** A kernel that follows a run says something from time to time, also while it executes a cell. */
  #listen(): void {
    if (this.#still || !this.#run || !isActive(this.#run.state) || Date.now() - this.#heard < PATIENCE)
      return;
    this.#still = true;
    for (const { onState } of this.#listeners) onState('still');
  }

  #take(message: Message, buffers: DataView[]): void {
    if (message.op === 'alive') return;
    if (message.op === 'reply') {
      this.#questions.take(message, buffers);
      return;
    }
    if (message.seq <= this.#seq) return; // the snapshot held it
    if (this.#gap) return;
    if (message.seq !== this.#seq + 1) {
      this.#gap = true;
      this.#model.send({ op: 'resync' }); // until the answer is there, the next snapshot heals it too
      return;
    }
    this.#seq = message.seq;
    if (message.run) this.#show(message.run);
    if (message.heads.length > 0 || Object.keys(message.superseded).length > 0)
      this.#add(batchOf(message, buffers[0] ?? new DataView(new ArrayBuffer(0))));
  }

  /** Take the kernel's snapshot where it knows more than this page. */
  #adopt(): void {
    const snapshot = this.#model.get('snapshot');
    if (!snapshot?.run || snapshot.seq <= this.#seq) return;
    this.#seq = snapshot.seq;
    this.#gap = false;
    const reply = repliedBy(snapshot);
    this.#store.reset(reply);
    for (const series of reply.series) this.#tags.add(series.tag);
    this.#show(snapshot.run);
    for (const { topic, onState } of this.#listeners) if (topic.kind === 'metrics') onState('gap');
  }

  #show(run: RunDetail): void {
    const first = this.#run === null;
    this.#run = run;
    for (const { topic, onBatch, onState } of this.#listeners) {
      if (first) onState('live');
      if (topic.kind === 'runs') onBatch({ kind: 'runs', changed: [run], deleted: [] } as never);
    }
    this.#hasRun();
  }

  #add(batch: MetricsBatch): void {
    this.#store.add(batch);
    for (const series of batch.series) this.#tags.add(series.tag);
    for (const { topic, onBatch } of this.#listeners) if (topic.kind === 'metrics') onBatch(batch as never);
  }

  #page({ states }: Params['runs']): RunPage {
    const run = this.#run;
    const items = run && (!states || states.includes(run.state)) ? [run] : [];
    const owners = run?.owner ? [run.owner] : [];
    return { items, total: items.length, counts: run ? { [run.state]: 1 } : {}, owners } as RunPage;
  }

  #series({ run_ids, tags }: Params['series']): SeriesReply {
    const wanted = tags ?? [...this.#tags];
    const found = run_ids.flatMap(id => wanted.map(tag => this.#store.get(id, tag)));
    const copy = (series: Series): Series => ({
      ...series,
      step: [...series.step],
      epoch: [...series.epoch],
      time: [...series.time],
      value: [...series.value],
    });
    return {
      series: found.filter(series => series !== undefined).map(copy),
      cursors: { ...this.#store.cursors },
    };
  }
}
