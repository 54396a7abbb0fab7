// The executors of the devices page: what starts queued runs on each machine, with the buttons of that of this machine.
import { useSource } from '../data/source';
import type { DevicesReply, Executor } from '../data/types';
import { useAction, useQuery } from '../data/use_query';
import { usePoll } from '../data/use_poll';
import { Button } from '../ui/button';
import { ConfirmButton } from '../ui/confirm_button';
import { bytes, duration, moment } from '../ui/format';
import { Problem } from '../ui/messages';
import '../ui/layout.css';
import './machines.css';
import '../ui/table.css';
import './registry_table.css';

const AGAIN = 10_000; // ms: a heartbeat alone is no news of the stream
const WORDS: Record<Executor['state'], string> = {
  alive: 'running',
  silent: 'silent: nobody hears of it',
  suspended: 'suspended: it starts nothing',
  stopped: 'ended',
};
const WARM =
  'A process keeps the libraries loaded, so that a run begins within a second and not in several. Runs share its memory.';

interface RowProps {
  executor: Executor;
  heartbeat: number;
  /** Whether it is the newest of this machine's, which alone has buttons. */
  buttons: boolean;
  shared: boolean;
  now: number;
}

function Row({ executor, heartbeat, buttons, shared, now }: RowProps) {
  const source = useSource();
  const { busy, error, act } = useAction();
  const { host, user, version, state, started_at, here } = executor;
  return (
    <tr data-executor={host} data-state={state}>
      <td>
        <b>{host}</b>
        {!here && <span className="imgcls-muted"> of another home</span>}
        <Problem>{error}</Problem>
      </td>
      {shared && <td className="imgcls-left">{user}</td>}
      <td className="imgcls-left">{WORDS[state]}</td>
      <td className="imgcls-left imgcls-nowrap">{version}</td>
      <td className="imgcls-left imgcls-nowrap">{moment(started_at)}</td>
      <td className="imgcls-left imgcls-nowrap">
        {duration(Math.max(1, Math.floor(now - heartbeat))).replace('.0', '')} ago
      </td>
      <td>
        {buttons && state === 'alive' && (
          <ConfirmButton
            label={busy === 'stop' ? 'Stopping…' : 'Stop…'}
            question="Stop it? Its runs go on; queued ones wait."
            busy={busy !== null}
            onConfirm={() => void act('stop', () => source.command('executor.stop', {}))}
          />
        )}
        {buttons && (state === 'stopped' || state === 'silent') && (
          <Button
            busy={busy !== null}
            onClick={() => void act('start', () => source.command('executor.start', {}))}
          >
            {busy === 'start' ? 'Starting…' : 'Start'}
          </Button>
        )}
      </td>
    </tr>
  );
}

function WarmStart({ reply }: { reply: DevicesReply }) {
  if (!reply.warm_start)
    return (
      <p className="imgcls-note">
        Warm start is off: each run loads the libraries by itself, which takes seconds. IMGCLS_WARM_START=1
        turns it on.
      </p>
    );
  const held = reply.warm_memory;
  return (
    <p className="imgcls-note">
      <b>{held != null ? `Warm start holds ${bytes(held)}. ` : 'Warm start is on. '}</b>
      {WARM} It {held != null ? 'ends with the executor' : 'begins with the next run'}; started with
      IMGCLS_WARM_START=0, Jupyter does without.
    </p>
  );
}

export function Executors({ reply, shared, now }: { reply: DevicesReply; shared: boolean; now: number }) {
  const { data: newest, reload } = useQuery('devices', {});
  usePoll(reload, AGAIN);
  const beats = new Map(newest?.executors.map(({ id, heartbeat_at }) => [id, heartbeat_at]));
  const local = reply.executors
    .filter(executor => executor.local)
    .sort((a, b) => b.started_at - a.started_at);
  return (
    <section className="imgcls-card imgcls-stack" aria-label="Executors">
      <h2 className="imgcls-card-head imgcls-devices-title">
        Executors
        <span className="imgcls-muted">
          One on each machine starts the queued runs there and watches them.
        </span>
      </h2>
      {reply.executors.length > 0 && (
        <div className="imgcls-scroll">
          <table className="imgcls-table">
            <thead>
              <tr>
                <th>machine</th>
                {shared && <th className="imgcls-left">user</th>}
                <th className="imgcls-left">state</th>
                <th className="imgcls-left">version</th>
                <th className="imgcls-left">since</th>
                <th className="imgcls-left">last heartbeat</th>
                <th aria-label="Actions" />
              </tr>
            </thead>
            <tbody>
              {reply.executors.map(executor => (
                <Row
                  key={executor.id}
                  executor={executor}
                  heartbeat={Math.max(executor.heartbeat_at, beats.get(executor.id) ?? 0)}
                  buttons={executor === local[0]}
                  shared={shared}
                  now={now}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <WarmStart reply={reply} />
    </section>
  );
}
