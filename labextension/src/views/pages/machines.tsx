// The machines of the devices page: processors and memory of each over the last hour, and its devices with who holds them.
import type { Device, DevicesReply, HostLoad, LoadReply, LoadSeries } from '../data/types';
import { bytes, percent, plural } from '../ui/format';
import { figures, summaryOf } from './devices';
import { HeldBy, Holders } from './device_holders';
import { LoadPlot } from './load_plot';
import '../ui/layout.css';
import './machines.css';

interface Times {
  times: readonly number[];
  every: number;
  now: number;
}

/** Load and memory beside each other; nothing of what is not reported. */
function Plots({ name, series, times }: { name: string; series: LoadSeries; times: Times }) {
  const last = (values: readonly (number | null)[]) => values.filter(value => value != null).pop() ?? null;
  const [load, memory, total] = [last(series.load), last(series.memory), series.memory_total];
  return (
    <div className="imgcls-load-pair">
      {load != null && (
        <figure>
          <figcaption className="imgcls-line">
            <span className="imgcls-muted">load</span>
            <span className="imgcls-num">{percent(load, 0)}</span>
          </figcaption>
          <LoadPlot
            label={`Load of ${name}`}
            values={series.load}
            most={1}
            text={value => percent(value, 0)}
            {...times}
          />
        </figure>
      )}
      {memory != null && total != null && (
        <figure>
          <figcaption className="imgcls-line">
            <span className="imgcls-muted">memory</span>
            <span className="imgcls-num">
              {bytes(memory)} of {bytes(total)}
            </span>
          </figcaption>
          <LoadPlot label={`Memory of ${name}`} values={series.memory} most={total} text={bytes} {...times} />
        </figure>
      )}
    </div>
  );
}

interface DeviceCardProps {
  device: Device;
  series: LoadSeries | undefined;
  times: Times | undefined;
  shared: boolean;
  now: number;
}

function DeviceCard({ device, series, times, shared, now }: DeviceCardProps) {
  return (
    <li className="imgcls-device" data-device={`${device.host} ${device.name}`}>
      <div className="imgcls-line">
        <b className="imgcls-clip">{device.title}</b>
        <span className="imgcls-muted imgcls-num">{figures(device)}</span>
      </div>
      <HeldBy device={device} shared={shared} />
      {series && times && <Plots name={device.title} series={series} times={times} />}
      <Holders device={device} now={now} />
    </li>
  );
}

interface MachineProps {
  host: string;
  devices: Device[];
  load: HostLoad | undefined;
  every: number;
  shared: boolean;
  now: number;
}

function Machine({ host, devices, load, every, shared, now }: MachineProps) {
  const times = load && { times: load.times, every, now };
  const facts = [load && plural(load.cores, 'core'), summaryOf(devices, 'device')];
  return (
    <section className="imgcls-card imgcls-machine" aria-label={`Machine ${host}`}>
      <h2 className="imgcls-card-head imgcls-devices-title">
        {host}
        <span className="imgcls-muted imgcls-num">{facts.filter(Boolean).join(' · ')}</span>
      </h2>
      {load && times ? (
        <Plots name={`the machine ${host}`} series={load.machine} times={times} />
      ) : (
        <p className="imgcls-note">No executor of this home has told its load in the last hour yet.</p>
      )}
      <ul className="imgcls-devices" aria-label={`Devices of ${host}`}>
        {devices.map(device => (
          <DeviceCard
            key={device.name}
            device={device}
            series={load?.devices.find(one => one.name === device.name)}
            times={times}
            shared={shared}
            now={now}
          />
        ))}
      </ul>
    </section>
  );
}

interface MachinesProps {
  reply: DevicesReply;
  load: LoadReply | undefined;
  shared: boolean;
  now: number;
}

/** A card for each machine that has devices or was heard of in the last hour. */
export function Machines({ reply, load, shared, now }: MachinesProps) {
  const hosts = [...new Set([...reply.devices, ...(load?.hosts ?? [])].map(one => one.host))];
  return (
    <div className="imgcls-machines">
      {hosts.map(host => (
        <Machine
          key={host}
          host={host}
          devices={reply.devices.filter(device => device.host === host)}
          load={load?.hosts.find(one => one.host === host)}
          every={load?.every ?? 0}
          shared={shared}
          now={now}
        />
      ))}
    </div>
  );
}
