// Whether a run can be computed again to the last bit: a button that tries it in a fresh process, and what came of it.
import { useId, useState } from 'react';
import { placeOf } from '../forms/fork_form';
import { runsStoreOf } from '../data/runs_store';
import { useSource } from '../data/source';
import { isActive, type Certificate, type RunDetail } from '../data/types';
import { usePoll } from '../data/use_poll';
import { useAction, useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { moment, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { TaskFailed, TaskUnderWay } from '../ui/task_under_way';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './verification.css';

/** Why a run cannot be verified now; undefined: it can. */
export function whyNotVerified(run: RunDetail): string | undefined {
  if (run.view_only) return 'Claim the run first: its folder came from elsewhere';
  if (isActive(run.state)) return 'It can be verified when it has ended';
  if (run.step === 0) return 'It has trained no step';
  return undefined;
}

function Result({ certificate: found }: { certificate: Certificate }) {
  return (
    <div className="imgcls-certificate" data-identical={found.identical} role="status">
      <p>
        <b data-tone={found.identical ? 'ok' : 'error'}>
          {found.identical ? 'Bit-identical' : `Differs from step ${found.first_step}`}
        </b>{' '}
        <span className="imgcls-muted">
          · steps {found.from_step + 1} to {found.last_step}
          {found.checkpoint && ` from the checkpoint ${found.checkpoint}`} ·{' '}
          {plural(found.hashes, 'hash', 'hashes')} of the weights · {moment(found.made_at)}
        </span>
      </p>
      {!found.identical && <p>{found.sentence}</p>}
      {found.differences.length > 0 && (
        <>
          <p className="imgcls-muted">Otherwise than when the run trained:</p>
          <ul>
            {found.differences.map(each => (
              <li key={each.text}>{each.text}</li>
            ))}
          </ul>
        </>
      )}
      {found.remedy && <p>{found.remedy}</p>}
    </div>
  );
}

/** Which steps: how many, from the beginning or from a checkpoint. */
function Choice({
  run,
  onVerify,
  busy,
}: {
  run: RunDetail;
  onVerify: (steps: number, at: string) => void;
  busy: boolean;
}) {
  const id = useId();
  const [steps, setSteps] = useState('20');
  const [at, setAt] = useState('');
  const reason = whyNotVerified(run);
  const count = Number(steps);
  const wrong = !Number.isInteger(count) || count < 1 || count > 1_000_000;
  return (
    <div className="imgcls-tools">
      <label htmlFor={`${id}-steps`}>Steps</label>
      <input
        id={`${id}-steps`}
        className="imgcls-verify-steps"
        type="number"
        min={1}
        max={1_000_000}
        value={steps}
        aria-invalid={wrong}
        onChange={event => setSteps(event.target.value)}
      />
      <label htmlFor={`${id}-at`}>from</label>
      <select
        id={`${id}-at`}
        className="imgcls-small imgcls-verify-from"
        value={at}
        onChange={event => setAt(event.target.value)}
      >
        <option value="">the beginning</option>
        {run.checkpoints.map(each => (
          <option key={each.name} value={each.name}>
            {placeOf(each)}
          </option>
        ))}
      </select>
      <Button
        busy={busy}
        disabled={reason !== undefined || wrong}
        title={reason ?? 'Compute these steps again in a fresh process, on a free device'}
        onClick={() => onVerify(count, at)}
      >
        Verify
      </Button>
    </div>
  );
}

export function Verification({ run }: { run: RunDetail }) {
  const source = useSource();
  const { busy, error, act } = useAction();
  const { data, error: unread, reload } = useQuery('verification', { id: run.id });
  const task = data?.task ?? null;
  const active = task !== null && isActive(task.state);
  usePoll(reload, 700, active);
  const start = (steps: number, at: string) =>
    act('verify', async () => {
      await source.command('verify', { id: run.id, steps, at });
      runsStoreOf(source).refresh();
      reload();
    });
  const stop = () => act('stop', () => source.command('stop', { id: task!.id }));
  const failed =
    task !== null && task.state === 'failed' && task.created_at > (data?.certificate?.made_at ?? 0);
  return (
    <section className="imgcls-verification" aria-label="Verification">
      <h3>Verification</h3>
      <p className="imgcls-muted">
        Computes steps of this run again, in a fresh process, and compares losses and weights to the last bit.
      </p>
      {run.may_change && !active && (
        <Choice run={run} onVerify={(steps, at) => void start(steps, at)} busy={busy !== null} />
      )}
      {active && <TaskUnderWay task={task} onStop={() => void stop()} />}
      <Problem>{error ?? unread}</Problem>
      {failed && <TaskFailed task={task} />}
      {data?.certificate && <Result certificate={data.certificate} />}
    </section>
  );
}
