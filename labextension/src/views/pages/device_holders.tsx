// Who holds a device: the run on it, and the processes that hold its memory, each with since when.
import type { Device, Holder } from '../data/types';
import { ago, bytes } from '../ui/format';
import { MiddleText } from '../ui/middle_text';
import { useNavigate } from '../ui/navigation';
import { NameLink } from '../ui/name_link';
import '../ui/button.css';
import './device_holders.css';
import './sidebar_section.css';

export const nameOf = (holder: Holder): string =>
  holder.run_name ?? holder.notebook ?? holder.name ?? `process ${holder.pid}`;

/** "2 h", "less than 1 min" */
const lasting = (since: number, now: number): string =>
  now - since < 60 ? 'less than 1 min' : ago(since, now);

/** "train.ipynb · 30.0 GB · for 2 h · idle for 1 h" */
function HolderRow({ holder, now }: { holder: Holder; now: number }) {
  const facts = [
    holder.memory != null && bytes(holder.memory),
    `for ${lasting(holder.since, now)}`,
    holder.idle_since != null && `idle for ${lasting(holder.idle_since, now)}`,
  ];
  const title = [`pid ${holder.pid}`, holder.name, holder.user].filter(Boolean).join(' · ');
  const { run_id } = holder;
  return (
    <li className="imgcls-line" data-pid={holder.pid} title={title}>
      {run_id ? (
        <NameLink cut name={nameOf(holder)} to={{ view: 'run', id: run_id }} />
      ) : (
        <span className="imgcls-clip">
          <MiddleText text={nameOf(holder)} />
        </span>
      )}
      <span className="imgcls-muted imgcls-num">{facts.filter(Boolean).join(' · ')}</span>
    </li>
  );
}

/** The processes that hold memory of a device; nothing where there are none. */
export function Holders({ device, now }: { device: Device; now: number }) {
  if (device.gpu_processes.length === 0) return null;
  return (
    <ul className="imgcls-holders imgcls-note" aria-label={`Memory of ${device.title}`}>
      {device.gpu_processes.map(holder => (
        <HolderRow key={holder.pid} holder={holder} now={now} />
      ))}
    </ul>
  );
}

/** What keeps a device from our runs, in words: the largest process that belongs to no run, by its name. */
function heldBy(device: Device): string {
  const others = device.gpu_processes.filter(holder => holder.run_id == null);
  const [largest] = others.sort((a, b) => (b.memory ?? 0) - (a.memory ?? 0));
  return largest ? `held by ${nameOf(largest)}` : (device.held_by ?? 'free');
}

/** The run on a device as a link, and whose it is where several users share the devices; else what holds it. */
export function HeldBy({ device, shared }: { device: Device; shared: boolean }) {
  const navigate = useNavigate();
  const { run_id, run_name, run_owner } = device;
  if (!run_id)
    return <div className="imgcls-note imgcls-clip">{device.held_by ? heldBy(device) : 'free'}</div>;
  return (
    <div className="imgcls-line imgcls-note">
      <button
        type="button"
        className="imgcls-plain imgcls-held-run"
        aria-label={run_name ?? run_id}
        title={`Open the run ${run_name ?? run_id}`}
        onClick={() => navigate({ view: 'run', id: run_id })}
      >
        <MiddleText named text={run_name ?? run_id} />
      </button>
      {shared && run_owner && <span className="imgcls-muted">{run_owner}</span>}
    </div>
  );
}
