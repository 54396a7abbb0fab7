// The nodes of a cluster in the list of devices: GPUs and runs of each, and the queue of its scheduler.
import { plural } from '../ui/format';
import { MiddleText } from '../ui/middle_text';
import type { Cluster, Node as ClusterNode } from '../data/types';
import { NameLink } from '../ui/name_link';
import '../ui/run_state.css';
import '../ui/button.css';
import './sidebar_section.css';
import './cluster_nodes.css';

const OPEN = 6; // nodes that are shown at once: those that matter come first
const CELLS = 16; // GPUs that are drawn one by one

/** "2 of 4 GPUs busy · A100", "8 CPUs", or that it takes no jobs */
function resources(node: ClusterNode): string {
  if (!node.alive) {
    return 'takes no jobs';
  }
  if (node.gpus === 0) {
    return plural(node.cpus, 'CPU');
  }
  const used = `${node.gpus - node.free_gpus} of ${plural(node.gpus, 'GPU')} busy`;
  return node.kind ? `${used} · ${node.kind}` : used;
}

/** A cell for each GPU; those that are busy are filled. */
function Gpus({ node }: { node: ClusterNode }) {
  const busy = node.gpus - node.free_gpus;
  if (node.gpus > CELLS) {
    return (
      <div className="imgcls-bar" aria-hidden="true">
        <i style={{ width: `${(busy / node.gpus) * 100}%` }} />
      </div>
    );
  }
  return (
    <div className="imgcls-gpus" aria-hidden="true">
      {Array.from({ length: node.gpus }, (_, gpu) => (
        <i key={gpu} className={gpu < busy ? 'imgcls-busy' : ''} />
      ))}
    </div>
  );
}

function NodeRow({ node, shared }: { node: ClusterNode; shared: boolean }) {
  return (
    <div className="imgcls-row" data-node={node.name}>
      <div className="imgcls-line">
        <b className="imgcls-clip" title={node.name}>
          <MiddleText text={node.name} />
        </b>
        <span className={node.alive ? 'imgcls-muted imgcls-num' : 'imgcls-node-down'}>{resources(node)}</span>
      </div>
      {node.alive && node.gpus > 0 && <Gpus node={node} />}
      {node.reason && <p className="imgcls-note">{node.reason}</p>}
      {node.runs.length > 0 && (
        <ul className="imgcls-node-runs imgcls-note" aria-label={`Runs on ${node.name}`}>
          {node.runs.map(run => (
            <li key={run.run_id} className="imgcls-line">
              <NameLink cut name={run.run_name ?? run.run_id} to={{ view: 'run', id: run.run_id }} />
              {shared && run.run_owner && <span className="imgcls-muted">{run.run_owner}</span>}
            </li>
          ))}
          {node.more_runs > 0 && <li className="imgcls-muted">and {plural(node.more_runs, 'more run')}</li>}
        </ul>
      )}
    </div>
  );
}

/** "3 nodes, 2 of 4 GPUs busy" */
export function clusterSummary({ totals }: Cluster): string {
  const nodes = plural(totals.alive, 'node');
  return totals.gpus > 0
    ? `${nodes}, ${totals.gpus - totals.free_gpus} of ${plural(totals.gpus, 'GPU')} busy`
    : nodes;
}

export function ClusterNodes({ cluster, shared }: { cluster: Cluster; shared: boolean }) {
  const { nodes, totals } = cluster;
  const all = totals.alive + totals.down;
  const rows = (shown: ClusterNode[]) =>
    shown.map(node => <NodeRow key={node.name} node={node} shared={shared} />);
  return (
    <>
      <div className="imgcls-row">
        {cluster.away ? (
          <p className="imgcls-note imgcls-node-down">{cluster.away}</p>
        ) : (
          <p className="imgcls-note">
            {cluster.title}: {plural(cluster.waiting, 'job')} {cluster.waiting === 1 ? 'waits' : 'wait'} in
            its own queue.
          </p>
        )}
      </div>
      {rows(nodes.slice(0, OPEN))}
      {nodes.length > OPEN && (
        <details className="imgcls-more-nodes">
          <summary className="imgcls-note">{plural(all - OPEN, 'more node')}</summary>
          {rows(nodes.slice(OPEN))}
          {all > nodes.length && (
            <p className="imgcls-note imgcls-row">and {plural(all - nodes.length, 'more node')}</p>
          )}
        </details>
      )}
    </>
  );
}
