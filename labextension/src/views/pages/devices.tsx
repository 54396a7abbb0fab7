// Devices in the panel: what they do, who holds them, and which program or notebook holds a GPU's memory, since when.
import { percent, plural, usage } from '../ui/format';
import { useDevices } from '../data/use_devices';
import type { Device } from '../data/types';
import { useNavigate } from '../ui/navigation';
import { useNow } from '../ui/use_now';
import { ClusterNodes, clusterSummary } from './cluster_nodes';
import { HeldBy, Holders } from './device_holders';
import { NoExecutor } from './no_executor';
import { Section } from './sidebar_section';
import '../ui/button.css';
import '../ui/run_state.css';

/** "61 % · 38 / 80 GB" */
export function figures(device: Device): string {
  const memory = device.memory_total != null ? usage(device.memory_used ?? 0, device.memory_total) : null;
  const use = device.utilisation == null ? null : percent(device.utilisation, 0);
  return [use, memory].filter(Boolean).join(' · ');
}

function DeviceRow({ device, shared, now }: { device: Device; shared: boolean; now: number }) {
  const text = figures(device);
  const used =
    device.utilisation ?? (device.memory_total ? (device.memory_used ?? 0) / device.memory_total : 0);
  return (
    <div className="imgcls-row">
      <div className="imgcls-line">
        <b className="imgcls-clip" title={`${device.name} on ${device.host}`}>
          {device.title}
        </b>
        <span className="imgcls-muted imgcls-num">{text}</span>
      </div>
      {text && (
        <div className="imgcls-bar" aria-hidden="true">
          <i
            className={device.held_by && !device.run_id ? 'imgcls-fill-warn' : ''}
            style={{ width: `${Math.min(100, used * 100)}%` }}
          />
        </div>
      )}
      <HeldBy device={device} shared={shared} />
      <Holders device={device} now={now} />
    </div>
  );
}

/** "1 of 2 busy"; nothing where there is no device. `noun`: "1 of 2 devices busy". */
export function summaryOf(devices: readonly Device[], noun = ''): string {
  const busy = devices.filter(device => device.run_id || device.held_by).length;
  const all = noun ? plural(devices.length, noun) : devices.length;
  return devices.length > 0 ? `${busy} of ${all} busy` : '';
}

export function Devices() {
  const navigate = useNavigate();
  const { reply, error, shared } = useDevices();
  const now = useNow(reply?.devices.some(device => device.gpu_processes.length > 0) ?? false, 30);
  const cluster = reply?.cluster;
  const own = reply?.devices ?? [];
  const more = reply?.more_devices ?? 0;
  const summary = [cluster && clusterSummary(cluster), summaryOf(own)].filter(Boolean).join(' · ');
  const link = (
    <button
      type="button"
      className="imgcls-plain imgcls-side-link"
      title="Load over the last hour, and what all of it takes on disk"
      onClick={() => navigate({ view: 'devices' })}
    >
      {summary || 'all'} ›
    </button>
  );
  return (
    <Section title="Devices" aside={link}>
      {cluster && <ClusterNodes cluster={cluster} shared={shared} />}
      {own.map(device => (
        <DeviceRow key={`${device.host} ${device.name}`} device={device} shared={shared} now={now} />
      ))}
      {more > 0 && (
        <div className="imgcls-row">
          <p className="imgcls-note">and {plural(more, 'more device')}</p>
        </div>
      )}
      {(reply?.message || error) && (
        <div className="imgcls-row">
          {error && <p className="imgcls-note">{error}</p>}
          {reply && <NoExecutor reply={reply} plain />}
        </div>
      )}
    </Section>
  );
}
