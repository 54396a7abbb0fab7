// Devices in the panel: what they do, who holds them, and which program or notebook holds a GPU's memory, since when.
import { ago, bytes, percent, plural, usage } from '../ui/format';
import { useAction } from '../data/use_query';
import { useNow } from '../ui/use_now';
import { useNavigate } from '../ui/navigation';
import { useSource } from '../data/source';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import { ClusterNodes, clusterSummary } from './cluster_nodes';
import { Section } from './sidebar_section';
import type { Device, DevicesReply, DevicesTopic, Holder } from '../data/types';
import { useSubscription, type Subscription } from '../data/use_subscription';
import '../ui/run_state.css';
import './devices.css';

const DEVICES: Subscription<'devices', DevicesTopic, DevicesReply> = {
  query: 'devices',
  begin: reply => reply,
  topic: { kind: 'devices' },
  merge: (_, batch) => batch.devices,
};

/** "train.ipynb · 30.0 GB · for 2 h · idle for 1 h" */
function HolderRow({ holder, now }: { holder: Holder; now: number }) {
  const navigate = useNavigate();
  const name = holder.run_name ?? holder.notebook ?? holder.name ?? `process ${holder.pid}`;
  const facts = [
    holder.memory != null && bytes(holder.memory),
    `for ${ago(holder.since, now)}`,
    holder.idle_since != null && `idle for ${ago(holder.idle_since, now)}`,
  ];
  const title = [`pid ${holder.pid}`, holder.name, holder.user].filter(Boolean).join(' · ');
  const { run_id } = holder;
  return (
    <li className="imgcls-line" data-pid={holder.pid} title={title}>
      {run_id ? (
        <button
          type="button"
          className="imgcls-run-link imgcls-clip"
          onClick={() => navigate({ view: 'run', id: run_id })}
        >
          {name}
        </button>
      ) : (
        <span className="imgcls-clip">{name}</span>
      )}
      <span className="imgcls-muted imgcls-num">{facts.filter(Boolean).join(' · ')}</span>
    </li>
  );
}

/** The run on a device, and whose it is where several users share the devices. */
function held(device: Device, shared: boolean): string {
  if (device.run_name == null) {
    return device.held_by ?? 'free';
  }
  return shared && device.run_owner ? `${device.run_name} · ${device.run_owner}` : device.run_name;
}

function DeviceRow({ device, shared, now }: { device: Device; shared: boolean; now: number }) {
  const memory = device.memory_total != null ? usage(device.memory_used ?? 0, device.memory_total) : null;
  const use = device.utilisation == null ? null : percent(device.utilisation, 0);
  const used =
    device.utilisation ?? (device.memory_total ? (device.memory_used ?? 0) / device.memory_total : 0);
  return (
    <div className="imgcls-row">
      <div className="imgcls-line">
        <b className="imgcls-clip" title={`${device.name} on ${device.host}`}>
          {device.title}
        </b>
        <span className="imgcls-muted imgcls-num">{[use, memory].filter(Boolean).join(' · ')}</span>
      </div>
      {(use || memory) && (
        <div className="imgcls-bar" aria-hidden="true">
          <i
            className={device.held_by && !device.run_id ? 'imgcls-fill-warn' : ''}
            style={{ width: `${Math.min(100, used * 100)}%` }}
          />
        </div>
      )}
      <div className="imgcls-note imgcls-clip">{held(device, shared)}</div>
      {device.gpu_processes.length > 0 && (
        <ul className="imgcls-holders imgcls-note" aria-label={`Memory of ${device.title}`}>
          {device.gpu_processes.map(holder => (
            <HolderRow key={holder.pid} holder={holder} now={now} />
          ))}
        </ul>
      )}
    </div>
  );
}

export function Devices() {
  const source = useSource();
  const { data: devices, error } = useSubscription(DEVICES, {});
  const { busy, error: failed, act } = useAction();
  const now = useNow(devices?.devices.some(device => device.gpu_processes.length > 0) ?? false, 30);
  const shared = new Set(devices?.executors.map(executor => executor.user)).size > 1;
  const cluster = devices?.cluster;
  const own = devices?.devices ?? [];
  const more = devices?.more_devices ?? 0;
  const busyOnes = own.filter(device => device.run_id || device.held_by).length;
  const summary = [cluster && clusterSummary(cluster), own.length > 0 && `${busyOnes} of ${own.length} busy`];
  return (
    <Section title="Devices" aside={summary.filter(Boolean).join(' · ')}>
      {cluster && <ClusterNodes cluster={cluster} shared={shared} />}
      {own.map(device => (
        <DeviceRow key={`${device.host} ${device.name}`} device={device} shared={shared} now={now} />
      ))}
      {more > 0 && (
        <div className="imgcls-row">
          <p className="imgcls-note">and {plural(more, 'more device')}</p>
        </div>
      )}
      {devices?.warm_memory != null && (
        <div
          className="imgcls-row"
          title="Runs are forked from a process that has the imports done, whose memory they share."
        >
          <p className="imgcls-note">
            Warm start holds {bytes(devices.warm_memory)} (IMGCLS_WARM_START=0 turns it off).
          </p>
        </div>
      )}
      {(devices?.message || error) && (
        <div className="imgcls-row">
          <p className="imgcls-note">{devices?.message ?? error}</p>
          {devices?.message && (
            <div>
              <Button
                busy={busy !== null}
                onClick={() => void act('start', () => source.command('executor.start', {}))}
              >
                Start the executor
              </Button>
            </div>
          )}
          <Problem>{failed}</Problem>
        </div>
      )}
    </Section>
  );
}
