// The tab of a run's history: who did what to it, beside what its attempts came to.
import { useEffect } from 'react';
import type { AuditEvent, RunDetail } from '../data/types';
import { useQuery } from '../data/use_query';
import { moment } from '../ui/format';
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

/** Newest first. */
export function HistoryTab({ run }: { run: RunDetail }) {
  const { data, error, reload } = useQuery('events', { run: run.id, limit: 500 });
  useEffect(reload, [reload, run.state, run.desired_state, run.attempts.length]);
  if (!data) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the events…</p>;
  const lines = [...linesOfEvents(data), ...linesOfAttempts(run, data)].sort((a, b) => b.time - a.time);
  return (
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
            <td>{moment(line.time)}</td>
            <td>
              {line.text}
              {line.detail && <div className="imgcls-muted">{line.detail}</div>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
