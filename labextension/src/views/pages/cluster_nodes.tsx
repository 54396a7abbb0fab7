// The nodes of a cluster in the list of devices: GPUs and runs of each, and the queue of its scheduler.
import { plural } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import type { Cluster, Node as ClusterNode } from '../data/types';
import '../ui/run_state.css';
import '../ui/button.css';
import './sidebar_section.css';
import './cluster_nodes.css';

/** "2 of 4 GPUs · A100", "8 CPUs", or why it takes no jobs */
function resources(node: ClusterNode): string {
  if (!node.alive) {
    return 'down';
  }
  if (node.gpus === 0) {
    return plural(node.cpus, 'CPU');
  }
  const used = `${node.gpus - node.free_gpus} of ${plural(node.gpus, 'GPU')} busy`;
  return node.kind ? `${used} · ${node.kind}` : used;
}

function NodeRow({ node, shared }: { node: ClusterNode; shared: boolean }) {
  const navigate = useNavigate();
  return (
    <div className="imgcls-row" data-node={node.name}>
      <div className="imgcls-line">
        <b className="imgcls-clip" title={node.name}>
          {node.name}
        </b>
        <span className={node.alive ? 'imgcls-muted imgcls-num' : 'imgcls-node-down'}>{resources(node)}</span>
      </div>
      {node.alive && node.gpus > 0 && (
        <div className="imgcls-bar" aria-hidden="true">
          <i style={{ width: `${((node.gpus - node.free_gpus) / node.gpus) * 100}%` }} />
        </div>
      )}
      {node.reason && <p className="imgcls-note">{node.reason}</p>}
      {node.runs.length > 0 && (
        <ul className="imgcls-node-runs imgcls-note" aria-label={`Runs on ${node.name}`}>
          {node.runs.map(run => (
            <li key={run.run_id} className="imgcls-line">
              <button
                type="button"
                className="imgcls-run-link imgcls-clip"
                onClick={() => navigate({ view: 'run', id: run.run_id })}
              >
                {run.run_name ?? run.run_id}
              </button>
              {shared && run.run_owner && <span className="imgcls-muted">{run.run_owner}</span>}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** "3 nodes, 2 of 4 GPUs busy" */
export function clusterSummary(cluster: Cluster): string {
  const alive = cluster.nodes.filter(node => node.alive);
  const gpus = alive.reduce((sum, node) => sum + node.gpus, 0);
  const free = alive.reduce((sum, node) => sum + node.free_gpus, 0);
  const nodes = plural(alive.length, 'node');
  return gpus > 0 ? `${nodes}, ${gpus - free} of ${plural(gpus, 'GPU')} busy` : nodes;
}

/** Nodes that are down come first, then those with runs: a long list shows what matters at its top. */
function inOrder(nodes: readonly ClusterNode[]): ClusterNode[] {
  const rank = (node: ClusterNode) => (node.alive ? (node.runs.length > 0 ? 1 : 2) : 0);
  return [...nodes].sort((a, b) => rank(a) - rank(b));
}

const SHOWN = 50; // nodes: the others are counted

export function ClusterNodes({ cluster, shared }: { cluster: Cluster; shared: boolean }) {
  const hidden = cluster.nodes.length - SHOWN;
  return (
    <>
      <div className="imgcls-row">
        <p className="imgcls-note">
          {cluster.title}: {plural(cluster.waiting, 'job')} {cluster.waiting === 1 ? 'waits' : 'wait'} in its
          own queue.
        </p>
        {cluster.away && <p className="imgcls-note imgcls-node-down">{cluster.away}</p>}
      </div>
      {inOrder(cluster.nodes)
        .slice(0, SHOWN)
        .map(node => (
          <NodeRow key={node.name} node={node} shared={shared} />
        ))}
      {hidden > 0 && (
        <div className="imgcls-row">
          <p className="imgcls-note">and {plural(hidden, 'more node')}</p>
        </div>
      )}
    </>
  );
}
