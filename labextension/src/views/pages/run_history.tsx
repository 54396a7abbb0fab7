// The tab of a run's history: the states that it was in, what each start waited for, and who did what to it.
import { useEffect } from 'react';
import { changeText, sinceText } from '../ui/run_changes';
import { statesOf } from '../data/run_states';
import { isActive, type AuditEvent, type RunDetail, type StartPhase } from '../data/types';
import { useQuery } from '../data/use_query';
import { duration, moment } from '../ui/format';
import { State } from '../ui/run_state';
import { useNow } from '../ui/use_now';
import { Problem } from '../ui/messages';
import '../ui/layout.css';
import '../ui/table.css';

interface Line {
  key: string;
  time: number;
  text: string;
  detail?: string | null;
  refused?: boolean;
}

/** What the attempts tell, but for a start that an event tells already. */
function linesOfAttempts(run: RunDetail, events: readonly AuditEvent[]): Line[] {
  const told = new Set(events.filter(item => item.action === 'started').map(item => item.details.attempt));
  return run.attempts.flatMap(item => {
    const name = `attempt ${item.number}`;
    const start = {
      key: `${name} start`,
      time: item.started_at,
      text: `${name} started on ${item.host ?? '–'}`,
    };
    const end = item.ended_at && {
      key: `${name} end`,
      time: item.ended_at,
      text: `${name}: ${item.state}`,
      detail: item.message,
    };
    return [...(told.has(item.number) ? [] : [start]), ...(end ? [end] : [])];
  });
}

const linesOfEvents = (events: readonly AuditEvent[]): Line[] =>
  events.map(item => ({
    key: String(item.id),
    time: item.time,
    text: item.text,
    detail: typeof item.details.reason === 'string' ? item.details.reason : null,
    refused: item.refused,
  }));

/** The steps from which changed settings count. */
const linesOfChanges = (run: RunDetail): Line[] =>
  (run.changes ?? []).flatMap(change =>
    change.obeyed_at == null
      ? []
      : [
          {
            key: `change ${change.number}`,
            time: change.obeyed_at,
            text: `${changeText(change)}, ${sinceText(run, change)}`,
          },
        ],
  );

/** "scanning images 1.2 s · loading the model 6.0 s": what the start of an attempt took. */
function phasesText(phases: readonly StartPhase[], attempt: number | null, now: number): string {
  return phases
    .filter(item => item.attempt === attempt)
    .map(item => `${item.name} ${duration(item.seconds ?? Math.max(0, now - item.since))}`)
    .join(' · ');
}

/** The states, newest first. */
function States({ run, events }: { run: RunDetail; events: readonly AuditEvent[] }) {
  const active = isActive(run.state);
  const now = useNow(active);
  const { data: phases = [], error, reload } = useQuery('startPhases', run.elsewhere ? null : { id: run.id });
  useEffect(reload, [reload, run.state, run.phase, run.attempts.length]);
  const stays = statesOf(run, events).reverse();
  return (
    <>
      <table className="imgcls-table imgcls-table-text">
        <thead>
          <tr>
            <th>state</th>
            <th>since</th>
            <th>lasted</th>
            <th>why</th>
          </tr>
        </thead>
        <tbody>
          {stays.map((stay, i) => {
            const start = stay.state === 'running' || stay.state === 'starting' || stay.state === 'stopping';
            const took = start ? phasesText(phases, stay.attempt, now) : '';
            const open = i === 0 && active;
            return (
              <tr key={`${stay.state} ${stay.since}`}>
                <td>
                  <State state={stay.state} />
                </td>
                <td className="imgcls-nowrap">{moment(stay.since)}</td>
                <td className="imgcls-nowrap">
                  {stay.until != null
                    ? duration(stay.until - stay.since)
                    : open
                      ? `${duration(now - stay.since)} so far`
                      : ''}
                </td>
                <td className="imgcls-sentence">
                  {stay.reason}
                  {took && <div className="imgcls-muted">start: {took}</div>}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      <Problem>{error}</Problem>
    </>
  );
}

/** Newest first. */
export function HistoryTab({ run }: { run: RunDetail }) {
  const { data, error, reload } = useQuery('events', { run: run.id, limit: 500 });
  useEffect(reload, [reload, run.state, run.desired_state, run.attempts.length, run.changes?.length]);
  if (!data) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the events…</p>;
  const lines = [...linesOfEvents(data), ...linesOfAttempts(run, data), ...linesOfChanges(run)].sort(
    (a, b) => b.time - a.time,
  );
  return (
    <div className="imgcls-stack">
      <h3>States</h3>
      <States run={run} events={data} />
      <h3>What happened</h3>
      <table className="imgcls-table imgcls-table-text">
        <thead>
          <tr>
            <th>time</th>
            <th>what happened</th>
          </tr>
        </thead>
        <tbody>
          {lines.map(line => (
            <tr key={line.key} data-refused={line.refused || undefined}>
              <td className="imgcls-nowrap">{moment(line.time)}</td>
              <td>
                {line.text}
                {line.detail && <div className="imgcls-muted">{line.detail}</div>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
