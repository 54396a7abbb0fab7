// The types that server and page exchange, with names for unions that the generator does not give, and questions about states.
import { ACTIVE_STATES, LIVE_STATES } from './schemas';
import type {
  AlertsBatch,
  AlertsTopic,
  DevicesBatch,
  DevicesTopic,
  LogBatch,
  LogTopic,
  MetricsBatch,
  MetricsTopic,
  RunsBatch,
  RunState,
  RunsTopic,
} from './schemas';

export * from './schemas';
export type Topic = RunsTopic | MetricsTopic | LogTopic | DevicesTopic | AlertsTopic;
export type Batch = RunsBatch | MetricsBatch | LogBatch | DevicesBatch | AlertsBatch;

const among =
  (states: readonly RunState[]) =>
  (state: RunState): boolean =>
    states.includes(state);

/** Whether an attempt of the run holds a process. */
export const isLive = among(LIVE_STATES);
/** Whether the run goes on without a person. */
export const isActive = among(ACTIVE_STATES);
/** Whether the run has begun and goes on: it is live, or it was lost and will be queued again. */
export const isUnderWay = among(ACTIVE_STATES.filter(state => state !== 'queued'));
