// The buttons of a run's page. Each has its place whatever the state of the run: what cannot be done now is disabled and
// says why, so that no button moves under the pointer. The forms that they open stand below the head.
import { useState } from 'react';
import { ConfirmButton } from '../ui/confirm_button';
import { runsStoreOf } from '../data/runs_store';
import { useAction, type Action } from '../data/use_query';
import { StateButton as RunState } from '../live/state_button';
import { useNavigate } from '../ui/navigation';
import { ChangeForm, whyNoChange } from '../forms/change_form';
import { ForkForm, whyNoFork } from '../forms/fork_form';
import { ResumeForm } from '../forms/resume_form';
import { ClaimForm } from './claim';
import { useSource } from '../data/source';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import { isActive, type RunDetail } from '../data/types';
import './run_actions.css';

export type OpenForm = 'resume' | 'change' | 'claim' | 'fork' | null;

interface ButtonsProps {
  run: RunDetail;
  action: Action;
  form: OpenForm;
  onForm: (form: OpenForm) => void;
}

/** The one button that moves the run to another state. */
function StateButton({ run, action, form, onForm }: ButtonsProps) {
  if (run.view_only && run.state !== 'queued') {
    return (
      <Button
        aria-expanded={form === 'claim'}
        title="Its folder came from elsewhere: look at what it would execute, and say that it is yours"
        onClick={() => onForm(form === 'claim' ? null : 'claim')}
      >
        Claim…
      </Button>
    );
  }
  return <RunState run={run} action={action} disabled={form === 'resume'} />;
}

/** Why a run cannot be resumed with other settings now; undefined: it can. */
function whyNotChanged(run: RunDetail): string | undefined {
  if (isActive(run.state)) return 'Stop the run first: a resume can have other settings';
  if (run.view_only) return 'Claim the run first: its folder came from elsewhere';
  if (!run.resumable) return 'There is nothing to resume. Clone… starts a run with other settings';
  return undefined;
}

/** Other settings from its next step on. */
function ChangeButton({ run, form, onForm }: ButtonsProps) {
  const reason = whyNoChange(run);
  return (
    <Button
      aria-expanded={form === 'change'}
      disabled={reason !== undefined}
      title={
        reason ?? 'Change learning rate, epochs, early stopping, kept checkpoints or logging while it trains'
      }
      onClick={() => onForm(form === 'change' ? null : 'change')}
    >
      Change…
    </Button>
  );
}

function ResumeWithButton({ run, form, onForm }: ButtonsProps) {
  const reason = whyNotChanged(run);
  return (
    <Button
      aria-expanded={form === 'resume'}
      disabled={reason !== undefined}
      title={
        reason ?? 'Resume with another cache, number of loader processes, logging or number of checkpoints'
      }
      onClick={() => onForm(form === 'resume' ? null : 'resume')}
    >
      Resume with…
    </Button>
  );
}

/** Go on from one of its checkpoints as another run. Of a run that waits there is none yet. */
function ForkButton({ run, form, onForm }: ButtonsProps) {
  const reason = whyNoFork(run);
  return (
    <Button
      aria-expanded={form === 'fork'}
      disabled={reason !== undefined}
      title={reason ?? 'Go on from a checkpoint as a new run: with other settings, or to more epochs'}
      onClick={() => onForm(form === 'fork' ? null : 'fork')}
    >
      Fork…
    </Button>
  );
}

/** Where one can go from a run. */
function PlaceButtons({ run: { id, kind, attempt, view_only } }: { run: RunDetail }) {
  const navigate = useNavigate();
  return (
    <>
      {kind === 'notebook' && (
        <Button
          disabled={attempt === 0}
          title={attempt === 0 ? 'It has not begun yet' : undefined}
          onClick={() => navigate({ view: 'executed-notebook', id })}
        >
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

function DeleteButton({ run, action: { busy, act }, onDeleted }: ButtonsProps & { onDeleted: () => void }) {
  const source = useSource();
  const active = isActive(run.state);
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
      disabled={active}
      title={active ? 'It waits or runs: stop it before you delete it' : undefined}
      onConfirm={() => void remove()}
    />
  );
}

/** The row of buttons. What the user of this server may not do at all is not offered. */
export function Actions(props: ButtonsProps & { onDeleted: () => void }) {
  const { run } = props;
  return (
    <div className="imgcls-buttons">
      {run.may_change && (
        <span className="imgcls-action-state">
          <StateButton {...props} />
        </span>
      )}
      {run.may_change && run.kind === 'train' && <ChangeButton {...props} />}
      {run.may_change && run.kind === 'train' && <ResumeWithButton {...props} />}
      {run.may_change && run.kind === 'train' && <ForkButton {...props} />}
      <PlaceButtons run={run} />
      {run.may_change && <DeleteButton {...props} />}
    </div>
  );
}

/** The form that a button has opened, and the error of the last action. */
export function ActionForms({ run, action, form, onForm }: ButtonsProps) {
  const source = useSource();
  const done = () => {
    onForm(null);
    runsStoreOf(source).refresh();
  };
  const resumes = form === 'resume' && whyNotChanged(run) === undefined;
  const changes = form === 'change' && whyNoChange(run) === undefined;
  const claims = form === 'claim' && run.view_only;
  const forks = form === 'fork' && whyNoFork(run) === undefined;
  if (!resumes && !changes && !claims && !forks && !action.error) return null;
  return (
    <div className="imgcls-action-forms">
      {resumes && <ResumeForm run={run} onCancel={() => onForm(null)} onResumed={done} />}
      {changes && <ChangeForm run={run} onDone={done} />}
      {forks && <ForkForm run={run} onCancel={() => onForm(null)} />}
      {claims && <ClaimForm run={run} onCancel={() => onForm(null)} onClaimed={done} />}
      <Problem>{action.error}</Problem>
    </div>
  );
}

/** What the buttons of a run share. */
export function useActions(): { action: Action; form: OpenForm; onForm: (form: OpenForm) => void } {
  const [form, onForm] = useState<OpenForm>(null);
  return { action: useAction(), form, onForm };
}
