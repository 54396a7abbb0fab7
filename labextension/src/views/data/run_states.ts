// The states that a run was in, one after another, with how long each lasted and why it came. Pure.
import type { AuditEvent, RunDetail, RunState } from './types';
import { isActive } from './types';

export interface Stay {
  state: RunState;
  since: number;
  /** null: it is in it still, or it ended in it. */
  until: number | null;
  attempt: number | null;
  /** Why it waited or how it ended, a sentence; empty where there is nothing to say. */
  reason: string;
}

/** When a person queued the run again, between two times. */
const resumedBetween = (events: readonly AuditEvent[], from: number, to: number): AuditEvent | undefined =>
  events
    .filter(item => item.action === 'resumed' && !item.refused && item.time >= from && item.time <= to)
    .sort((a, b) => b.time - a.time)[0];

/** Oldest first. */
export function statesOf(run: RunDetail, events: readonly AuditEvent[]): Stay[] {
  const stays: Stay[] = [];
  let since = run.created_at;
  let reason = '';
  const waits = (until: number | null, why: string) => {
    const back = resumedBetween(events, since, until ?? Infinity);
    const last = stays[stays.length - 1];
    if (back && last) last.until = back.time;
    const from = back?.time ?? since;
    stays.push({ state: 'queued', since: from, until, attempt: null, reason: back?.text ?? why });
  };
  for (const item of run.attempts) {
    if (!run.external) waits(item.started_at, reason);
    const ended = item.ended_at;
    const live: RunState = ended != null || !isActive(run.state) ? 'running' : run.state;
    const place = [item.host, item.devices.join(', ')].filter(Boolean).join(', ');
    stays.push({
      state: live,
      since: item.started_at,
      until: ended,
      attempt: item.number,
      reason: [
        `attempt ${item.number}`,
        place && `on ${place}`,
        item.resume_step && `from step ${item.resume_step}`,
      ]
        .filter(Boolean)
        .join(' '),
    });
    if (ended == null) continue;
    stays.push({
      state: item.state,
      since: ended,
      until: null,
      attempt: item.number,
      reason: item.message ?? '',
    });
    [since, reason] = [ended, item.state === 'lost' ? 'it was lost, and is queued again' : ''];
  }
  if (run.state === 'queued') waits(null, run.message ?? reason);
  else if (run.attempts.length === 0 && run.ended_at != null) {
    waits(run.ended_at, '');
    stays.push({
      state: run.state,
      since: run.ended_at,
      until: null,
      attempt: null,
      reason: run.message ?? '',
    });
  }
  // what was left for a new attempt lasted until then
  for (let i = 0; i + 1 < stays.length; i++) stays[i]!.until ??= stays[i + 1]!.since;
  const last = stays[stays.length - 1];
  if (last && run.state === 'queued' && run.message) last.reason = run.message;
  return stays;
}
