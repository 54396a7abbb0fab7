// Runs, and a source held in the hand: what it answers is written in the test, what it was asked can be read.
import { SourceError, type ConnectionState, type Source } from '../src/views/data/source';
import type { Batch, Job, Run, RunDetail, Series, Topic } from '../src/views/data/types';

export function aRun(part: Partial<Run> = {}): Run {
  return {
    id: 'r1',
    kind: 'train',
    name: 'a run',
    owner: 'ada',
    project_id: 1,
    project: 'default',
    dataset_id: null,
    model_id: null,
    parent_id: null,
    may_change: true,
    state: 'running',
    desired_state: 'run',
    attempt: 1,
    priority: 0,
    resumable: false,
    external: false,
    message: null,
    failure: null,
    phase: null,
    created_at: 1000,
    started_at: 1001,
    ended_at: null,
    ran: 0,
    running_since: 1001,
    updated_at: 1002,
    revision: 1,
    host: 'here',
    devices: ['cpu:0'],
    step: 10,
    total_steps: 100,
    epoch: 1,
    epochs: 10,
    resumed_at_step: null,
    seconds_left: 60,
    best: null,
    latest: {},
    model_flavour: 'tiny',
    root: '/data/digits',
    batch_size: 32,
    lr: 0.001,
    notes: '',
    ...part,
  };
}

/** What the page of a run that has succeeded gets. */
export const aRunDetail = (part: Partial<RunDetail> = {}): RunDetail => ({
  ...aRun({ state: 'succeeded', running_since: null }),
  config: {},
  payload: {},
  device_request: { device: 'auto', gpus: 1, host: null },
  after: [],
  attempts: [],
  checkpoints: [],
  series_names: [],
  manifest: null,
  folder: '/runs/r1',
  ...part,
});

/** A task of the server that has begun. */
export const aJob = (part: Partial<Job> = {}): Job => ({
  id: 'j1',
  kind: 'export',
  subject: 'pets',
  state: 'running',
  done: 0,
  total: 0,
  message: '',
  started_at: 1000,
  ended_at: null,
  exported: null,
  imported: null,
  freed: null,
  ...part,
});

export const aSeries = (
  tag: string,
  step: number[],
  value: (number | null)[] = step,
  runId = 'r1',
): Series => ({
  run_id: runId,
  tag,
  step,
  epoch: step.map(s => s / 10),
  time: step.map(s => 2 + s),
  value,
  thinned: false,
});

interface Subscription {
  topic: Topic;
  push: (batch: Batch) => void;
  connection: (connection: ConnectionState) => void;
  signal: AbortSignal;
}

type Answers = Partial<Record<string, (params: never) => unknown>>;

export class FakeSource implements Source {
  readonly asked: [string, unknown][] = [];
  readonly subscriptions: Subscription[] = [];

  constructor(readonly answers: Answers = {}) {}

  query = async (kind: string, params: unknown): Promise<never> => this.#answer(kind, params);
  image = async (request: unknown): Promise<Blob> => this.#answer('image', request);
  /** Of the last command: what gives it up, and what hears how much of its file is sent. */
  given: { signal?: AbortSignal; onSent?: (bytes: number) => void } = {};
  command = async (
    name: string,
    args: unknown,
    signal?: AbortSignal,
    onSent?: (bytes: number) => void,
  ): Promise<never> => {
    this.given = { signal, onSent };
    return this.#answer(name, args);
  };

  subscribe = (
    topic: Topic,
    onBatch: (batch: never) => void,
    onState: (connection: ConnectionState) => void,
    signal: AbortSignal,
  ) => {
    const subscription = { topic, push: onBatch as (batch: Batch) => void, connection: onState, signal };
    this.subscriptions.push(subscription);
    signal.addEventListener('abort', () =>
      this.subscriptions.splice(this.subscriptions.indexOf(subscription), 1),
    );
    onState('live');
  };

  /** The open subscription to a kind of topic. */
  on(kind: Topic['kind']): Subscription {
    const found = this.subscriptions.find(item => item.topic.kind === kind);
    if (!found) throw new Error(`nobody listens to ${kind}`);
    return found;
  }

  #answer(name: string, params: unknown): never {
    this.asked.push([name, params]);
    const answer = this.answers[name];
    if (!answer) throw new SourceError(`no answer to ${name}`, 404);
    return answer(params as never) as never;
  }
}
