// The head of a run's page: its name, what it is, and what can be done with it.
import { useState, type ReactNode } from 'react';
import { ConfirmButton } from '../ui/confirm_button';
import { runsStoreOf } from '../data/runs_store';
import { count, leaf, modelOf } from '../ui/format';
import { useAction, useQuery } from '../data/use_query';
import { useNavigate } from '../ui/navigation';
import { ResumeForm } from '../forms/resume_form';
import { ClaimForm } from './claim';
import { useSource, type Command, type ConnectionState } from '../data/source';
import { Button } from '../ui/button';
import { ConnectionNotice, Problem } from '../ui/messages';
import { State } from '../ui/run_state';
import { isActive, isLive, type RunDetail } from '../data/types';
import { OwnerChip } from './owner';
import '../ui/inputs.css';
import './run_head.css';

const Chip = ({ children, title }: { children: ReactNode; title?: string }) => (
  <span className="imgcls-chip" title={title}>
    {children}
  </span>
);

type ActionProps = { run: RunDetail; action: ReturnType<typeof useAction> };

/** What moves the run from one state to another. */
function StateButtons({ run, action: { busy, act }, changing }: ActionProps & { changing: boolean }) {
  const source = useSource();
  const isBusy = busy !== null;
  const ask = (name: Extract<Command, 'stop' | 'kill' | 'resume'>) => () =>
    void act(name, async () => {
      await source.command(name, { id: run.id });
      runsStoreOf(source).refresh();
    });
  if (run.state === 'queued') {
    return (
      <Button busy={isBusy} onClick={ask('stop')}>
        Cancel
      </Button>
    );
  }
  if (run.view_only) return null;
  if (!isActive(run.state)) {
    return run.state === 'succeeded' ? null : (
      <Button primary busy={isBusy} disabled={changing} onClick={ask('resume')}>
        {run.resumable ? 'Resume' : 'Start again'}
      </Button>
    );
  }
  return run.desired_state === 'run' ? (
    <Button
      busy={isBusy}
      disabled={run.external}
      title={run.external ? 'It runs in a notebook or shell: stop it there' : 'Save a checkpoint, then end'}
      onClick={ask('stop')}
    >
      Stop
    </Button>
  ) : (
    <ConfirmButton
      label="Kill"
      question="End it now, without a checkpoint?"
      busy={isBusy}
      disabled={run.desired_state === 'kill'}
      onConfirm={ask('kill')}
    />
  );
}

/** Where one can go from a run. */
function PlaceButtons({ run: { id, kind, attempt, view_only } }: { run: RunDetail }) {
  const navigate = useNavigate();
  return (
    <>
      {kind === 'notebook' && (
        <Button disabled={attempt === 0} onClick={() => navigate({ view: 'executed-notebook', id })}>
          Open notebook
        </Button>
      )}
      {kind === 'train' && <Button onClick={() => navigate({ view: 'new-run', from: id })}>Clone…</Button>}
      {(kind === 'train' || kind === 'notebook') && (
        <>
          <Button onClick={() => navigate({ view: 'new-sweep', from: id })}>Sweep…</Button>
          <Button onClick={() => navigate({ view: 'compare', ids: [id] })}>Compare…</Button>
        </>
      )}
      {kind !== 'task' && (
        <Button
          disabled={view_only}
          title={view_only ? 'Claim the run first: its event files came from elsewhere' : undefined}
          onClick={() =>
            navigate({ view: 'tensorboard', ...(kind === 'sweep' ? { sweep_id: id } : { run_ids: [id] }) })
          }
        >
          TensorBoard
        </Button>
      )}
    </>
  );
}

function DeleteButton({ run, action: { busy, act }, onDeleted }: ActionProps & { onDeleted: () => void }) {
  const source = useSource();
  const remove = async () => {
    if (await act('delete', () => source.command('runs.delete', { id: run.id }))) {
      runsStoreOf(source).refresh();
      onDeleted();
    }
  };
  return (
    <ConfirmButton
      label="Delete…"
      question="Delete this run with its checkpoints and log?"
      busy={busy !== null}
      onConfirm={() => void remove()}
    />
  );
}

function Actions({ run, onDeleted }: { run: RunDetail; onDeleted: () => void }) {
  const source = useSource();
  const action = useAction();
  const [changing, setChanging] = useState(false); // the settings with which it is resumed
  const [claiming, setClaiming] = useState(false);
  const ended = !isActive(run.state);
  const changeable = ended && run.resumable && run.kind === 'train' && !run.view_only && run.may_change;
  return (
    <div className="imgcls-actions">
      <div className="imgcls-buttons">
        {run.may_change && <StateButtons run={run} action={action} changing={changing} />}
        {run.view_only && run.may_change && (
          <Button aria-expanded={claiming} onClick={() => setClaiming(!claiming)}>
            Claim…
          </Button>
        )}
        {changeable && (
          <Button
            aria-expanded={changing}
            title="Resume with another cache, number of loader processes, logging or number of checkpoints"
            onClick={() => setChanging(!changing)}
          >
            Resume with…
          </Button>
        )}
        <PlaceButtons run={run} />
        {ended && run.may_change && <DeleteButton run={run} action={action} onDeleted={onDeleted} />}
      </div>
      {changing && changeable && (
        <ResumeForm
          run={run}
          onCancel={() => setChanging(false)}
          onResumed={() => {
            setChanging(false);
            runsStoreOf(source).refresh();
          }}
        />
      )}
      {claiming && run.view_only && (
        <ClaimForm
          run={run}
          onCancel={() => setClaiming(false)}
          onClaimed={() => {
            setClaiming(false);
            runsStoreOf(source).refresh();
          }}
        />
      )}
      <Problem>{action.error}</Problem>
    </div>
  );
}

function Title({ run }: { run: RunDetail }) {
  const source = useSource();
  const [editing, setEditing] = useState(false);
  const { error, act } = useAction();
  const rename = async (name: string) => {
    setEditing(false);
    if (!name.trim() || name === run.name) return;
    if (await act('rename', () => source.command('runs.edit', { id: run.id, edit: { name: name.trim() } })))
      runsStoreOf(source).refresh();
  };
  if (editing) {
    return (
      <input
        className="imgcls-rename"
        aria-label="Name of the run"
        defaultValue={run.name}
        maxLength={200}
        autoFocus
        onBlur={event => void rename(event.target.value)}
        onKeyDown={event => {
          if (event.key === 'Enter') event.currentTarget.blur();
          if (event.key === 'Escape') setEditing(false);
        }}
      />
    );
  }
  return (
    <>
      <h1 className="imgcls-clip">
        {run.may_change ? (
          <button type="button" className="imgcls-title" title="Rename" onClick={() => setEditing(true)}>
            {run.name}
          </button>
        ) : (
          run.name
        )}
      </h1>
      <Problem>{error}</Problem>
    </>
  );
}

/** The model that the run began with; the best of another run leads to that. */
function ModelChip({ run }: { run: RunDetail }) {
  const navigate = useNavigate();
  const { model_flavour: flavour, from_best: fromBest, parent_id: parentId } = run;
  const { data: parent } = useQuery('run', fromBest && parentId ? { id: parentId } : null);
  if (!flavour) return null;
  return (
    <Chip title={flavour}>
      {fromBest && parent ? (
        <>
          best of{' '}
          <button
            type="button"
            className="imgcls-plain"
            onClick={() => navigate({ view: 'run', id: parent.id })}
          >
            {parent.name}
          </button>
        </>
      ) : (
        modelOf(run)
      )}
    </Chip>
  );
}

export function Head({
  run,
  connection,
  onDeleted,
}: {
  run: RunDetail;
  connection: ConnectionState;
  onDeleted: () => void;
}) {
  const navigate = useNavigate();
  const { data: datasets } = useQuery('datasets', {});
  const dataset = datasets?.find(item => item.id === run.dataset_id);
  const attempt =
    run.attempt > 1
      ? `attempt ${run.attempt}${run.resumed_at_step == null ? '' : `, resumed at step ${count(run.resumed_at_step)}`}`
      : null;
  return (
    <header className="imgcls-head">
      <div className="imgcls-head-text">
        <Title run={run} />
        <div className="imgcls-chips">
          <Chip>
            <State state={run.state} unreachable={run.unreachable} />
          </Chip>
          <OwnerChip run={run} />
          {run.kind !== 'train' && <Chip>{run.kind}</Chip>}
          <ModelChip run={run} />
          {run.root && (
            <Chip title={run.root}>
              {dataset ? (
                <button
                  type="button"
                  className="imgcls-plain"
                  onClick={() => navigate({ view: 'dataset', id: dataset.id })}
                >
                  {dataset.name}
                </button>
              ) : (
                leaf(run.root)
              )}
            </Chip>
          )}
          {run.devices.length > 0 && <Chip title={run.host ?? undefined}>{run.devices.join(', ')}</Chip>}
          {attempt && <Chip>{attempt}</Chip>}
          {run.view_only && (
            <Chip title="Its folder came from elsewhere: nothing of it is executed until you claim it">
              view only
            </Chip>
          )}
          {run.external && !run.view_only && (
            <Chip title="It runs in a notebook or shell, not under the executor">in a kernel or shell</Chip>
          )}
          {run.phase && isLive(run.state) && <span className="imgcls-muted">{run.phase}…</span>}
          <ConnectionNotice connection={connection} />
        </div>
      </div>
      <Actions run={run} onDeleted={onDeleted} />
    </header>
  );
}
