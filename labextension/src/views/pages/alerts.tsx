// What went wrong lately: runs that failed, were lost or stand still, and disks nearly full.
import { ago } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { useSubscription, type Subscription } from '../data/use_subscription';
import { Section } from './sidebar_section';
import type { Alert, AlertsTopic } from '../data/types';
import './run_row.css';

const SHOWN = 5;
const KEPT = 100;
const FIRST = { limit: 50 };
const LATELY = 24 * 3600; // seconds

const byTime = (alerts: Alert[], more: Alert[]): Alert[] => {
  const all = new Map([...alerts, ...more].map(alert => [alert.id, alert]));
  return [...all.values()].sort((a, b) => b.created_at - a.created_at).slice(0, KEPT);
};

const ALERTS: Subscription<'alerts', AlertsTopic, Alert[]> = {
  query: 'alerts',
  begin: (reply, alerts = []) => byTime(reply, alerts),
  topic: { kind: 'alerts' },
  merge: (alerts = [], batch) => byTime(alerts, batch.alerts),
};

export function Alerts({ now }: { now: number }) {
  const navigate = useNavigate();
  const { data: alerts = [] } = useSubscription(ALERTS, FIRST); // its error is said where the runs are
  const lately = alerts.filter(item => item.kind !== 'finished' && now - item.created_at < LATELY);
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
            onClick={() => navigate({ view: 'run', id: run_id })}
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
