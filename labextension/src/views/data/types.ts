// The wire's types, with the names for unions that the generator does not give.
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

export const LIVE: readonly RunState[] = ['starting', 'running', 'stopping', 'lost'];
export const WAITING: readonly RunState[] = ['queued'];
export const ENDED: readonly RunState[] = ['stopped', 'succeeded', 'failed', 'cancelled'];

/** Whether more may come of a run by itself. */
export const isActive = (state: RunState): boolean => !ENDED.includes(state);
