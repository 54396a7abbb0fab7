// What went wrong lately: runs that failed, were lost or stand still, and disks nearly full.
import { useEffect, useState } from 'react';
import { ago } from '../ui/format';
import { useGo } from '../ui/navigation';
import { useSource } from '../data/source';
import { Section } from '../ui/states';
import type { Alert } from '../data/types';

const SHOWN = 5;
const LATELY = 24 * 3600; // seconds

/** The last alerts that need a person's eye, newest first. A run that has finished is in the list of runs. */
function useAlerts(): Alert[] {
  const source = useSource();
  const [alerts, setAlerts] = useState<Alert[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    const add = (more: Alert[]) =>
      setAlerts(was => {
        const all = new Map([...was, ...more].map(alert => [alert.id, alert]));
        return [...all.values()].sort((a, b) => b.created_at - a.created_at).slice(0, 100);
      });
    source.query('alerts', { limit: 50 }, stop.signal).then(add, () => undefined); // the runs say it, too
    source.subscribe(
      { kind: 'alerts' },
      batch => add(batch.alerts),
      () => undefined,
      stop.signal,
    );
    return () => stop.abort();
  }, [source]);
  return alerts;
}

export function Alerts({ now }: { now: number }) {
  const go = useGo();
  const lately = useAlerts().filter(item => item.kind !== 'finished' && now - item.created_at < LATELY);
  if (lately.length === 0) return null;
  return (
    <Section title="Alerts" aside={lately.length}>
      {lately.slice(0, SHOWN).map(({ id, kind, text, run_id, created_at }) => {
        const words = (
          <>
            <span className="imgcls-note">{text}</span>
            <span className="imgcls-muted imgcls-num">{ago(created_at, now)}</span>
          </>
        );
        return run_id ? (
          <button
            key={id}
            type="button"
            className="imgcls-row imgcls-run-row"
            data-alert={kind}
            onClick={() => go({ view: 'run', id: run_id })}
          >
            {words}
          </button>
        ) : (
          <div key={id} className="imgcls-row" data-alert={kind}>
            {words}
          </div>
        );
      })}
    </Section>
  );
}
