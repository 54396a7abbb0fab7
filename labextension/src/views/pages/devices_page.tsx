// The page of the devices: machines and their load, who holds what, what starts runs, and what all of it takes on disk.
import { useDevices } from '../data/use_devices';
import { usePoll } from '../data/use_poll';
import { useQuery } from '../data/use_query';
import { plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNow } from '../ui/use_now';
import { ClusterNodes, clusterSummary } from './cluster_nodes';
import { summaryOf } from './devices';
import { Executors } from './executors';
import { Machines } from './machines';
import { NoExecutor } from './no_executor';
import { Storage } from './storage';
import '../ui/layout.css';

const POINTS = 15_000; // ms between two points of the load

export function DevicesPage() {
  const { reply, error, shared } = useDevices();
  const { data: load, error: unread, reload } = useQuery('load', {});
  usePoll(reload, POINTS);
  const now = useNow(true, 5);
  const more = reply?.more_devices ?? 0;
  const cluster = reply?.cluster;
  const summary = [cluster && clusterSummary(cluster), reply && summaryOf(reply.devices)];
  return (
    <section className="imgcls-page imgcls-stack" aria-label="Devices and storage">
      <header className="imgcls-page-head">
        <h1>Devices</h1>
        <span className="imgcls-muted imgcls-num">{summary.filter(Boolean).join(' · ')}</span>
        <span className="imgcls-spacer" />
        <span className="imgcls-muted">the plots show the last hour</span>
      </header>
      <Problem>{error ?? unread}</Problem>
      {!reply && !error && <p className="imgcls-muted">Asking what the devices do…</p>}
      {reply?.message && (
        <div className="imgcls-card imgcls-stack" role="status">
          <NoExecutor reply={reply} />
        </div>
      )}
      {reply && <Machines reply={reply} load={load} shared={shared} now={now} />}
      {more > 0 && <p className="imgcls-note">and {plural(more, 'more device')}</p>}
      {cluster && (
        <section className="imgcls-card" aria-label="Cluster">
          <ClusterNodes cluster={cluster} shared={shared} />
        </section>
      )}
      {reply && <Executors reply={reply} shared={shared} now={now} />}
      <Storage />
    </section>
  );
}
