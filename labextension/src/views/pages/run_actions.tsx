// The buttons of a run's page. Each has its place whatever the state of the run: what cannot be done now is disabled and
// says why, so that no button moves under the pointer. Where there is no room for all, a menu has those that are used
// less. The forms that they open stand below the head.
import {
  Fragment,
  useCallback,
  useEffect,
  useState,
  type ComponentProps,
  type MouseEvent,
  type ReactNode,
} from 'react';
import { ConfirmButton } from '../ui/confirm_button';
import { runsStoreOf } from '../data/runs_store';
import { useAction, type Action } from '../data/use_query';
import { StateButton as RunState } from '../live/state_button';
import { useNavigate, type Place } from '../ui/navigation';
import { Popover } from '../ui/popover';
import { ChangeForm, whyNoChange } from '../forms/change_form';
import { ForkForm, whyNoFork } from '../forms/fork_form';
import { ResumeForm } from '../forms/resume_form';
import { ClaimForm } from './claim';
import { forkPointsOf } from './fork_points';
import { useSource } from '../data/source';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import { isActive, type RunDetail } from '../data/types';
import './run_actions.css';

export type OpenForm = 'resume' | 'change' | 'claim' | 'fork' | 'longer' | null;

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

/** The same form, for more epochs. */
function LongerButton({ run, form, onForm }: ButtonsProps) {
  const reason = whyNoFork(run);
  return (
    <Button
      aria-expanded={form === 'longer'}
      disabled={reason !== undefined}
      title={
        reason ?? 'Go on from its last checkpoint as a new run, to more epochs; nothing is trained twice'
      }
      onClick={() => onForm(form === 'longer' ? null : 'longer')}
    >
      Train longer…
    </Button>
  );
}

/** A button that leads to another place. */
const Leads = ({ to, children, ...rest }: { to: Place } & ComponentProps<typeof Button>) => {
  const navigate = useNavigate();
  return (
    <Button {...rest} onClick={() => navigate(to)}>
      {children}
    </Button>
  );
};

function NotebookButton({ run: { id, attempt } }: { run: RunDetail }) {
  const begun = attempt > 0;
  return (
    <Leads
      to={{ view: 'executed-notebook', id }}
      disabled={!begun}
      title={begun ? undefined : 'It has not begun yet'}
    >
      Open notebook
    </Leads>
  );
}

function TensorBoardButton({ run: { id, kind, view_only } }: { run: RunDetail }) {
  return (
    <Leads
      to={{ view: 'tensorboard', ...(kind === 'sweep' ? { sweep_id: id } : { run_ids: [id] }) }}
      disabled={view_only}
      title={view_only ? 'Claim the run first: its event files came from elsewhere' : undefined}
    >
      TensorBoard
    </Leads>
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

type ActionsProps = ButtonsProps & { onDeleted: () => void };

/** All buttons of a run in their order; `first`: it stays in the row where there is no room for all. What the user of this
 * server may not do at all is not offered. */
function buttonsOf(props: ActionsProps): { name: string; first?: boolean; button: ReactNode }[] {
  const { run } = props;
  const { id, kind, may_change: may } = run;
  const [trains, measures] = [kind === 'train', kind === 'train' || kind === 'notebook'];
  const state = (
    <span className="imgcls-action-state">
      <StateButton {...props} />
    </span>
  );
  const all = [
    { name: 'state', first: true, button: may && state },
    { name: 'change', button: may && trains && <ChangeButton {...props} /> },
    { name: 'resume', button: may && trains && <ResumeWithButton {...props} /> },
    { name: 'fork', button: may && trains && <ForkButton {...props} /> },
    { name: 'longer', button: may && trains && <LongerButton {...props} /> },
    { name: 'notebook', first: true, button: kind === 'notebook' && <NotebookButton run={run} /> },
    {
      name: 'clone',
      first: true,
      button: trains && <Leads to={{ view: 'new-run', from: id }}>Clone…</Leads>,
    },
    { name: 'sweep', button: measures && <Leads to={{ view: 'new-sweep', from: id }}>Sweep…</Leads> },
    {
      name: 'compare',
      first: true,
      button: measures && <Leads to={{ view: 'compare', ids: [id] }}>Compare…</Leads>,
    },
    { name: 'tensorboard', button: kind !== 'task' && <TensorBoardButton run={run} /> },
    { name: 'delete', button: may && <DeleteButton {...props} /> },
  ];
  return all.filter(each => each.button);
}

const MANY = 4; // buttons for which there is always room

/** The row of buttons. narrow: those that are used less are in a menu, so that the row stays one. */
export function Actions({ narrow, ...props }: ActionsProps & { narrow: boolean }) {
  const all = buttonsOf(props);
  const folds = narrow && all.length > MANY;
  return (
    <div className="imgcls-buttons">
      {all
        .filter(({ first }) => first || !folds)
        .map(({ name, button }) => (
          <Fragment key={name}>{button}</Fragment>
        ))}
      {folds && (
        <Popover end label={<MoreSign />} title="More to do with the run">
          {close => (
            <div className="imgcls-action-menu" onClick={event => isDone(event) && close()}>
              {all
                .filter(({ first }) => !first)
                .map(({ name, button }) => (
                  <Fragment key={name}>{button}</Fragment>
                ))}
            </div>
          )}
        </Popover>
      )}
    </div>
  );
}

const MoreSign = () => (
  <>
    <span aria-hidden="true">⋯</span>
    <span className="imgcls-sr">More</span>
  </>
);

/** Whether a click in the menu has done what it is for: a question that it asks does not end it. */
const isDone = ({ target }: MouseEvent): boolean =>
  target instanceof Element && target.closest('button') !== null && !target.closest('.imgcls-confirms');

/** The form that a button has opened, and the error of the last action. */
export function ActionForms({ run, action, form, onForm, at, opened }: ButtonsProps & Opened) {
  const source = useSource();
  const done = () => {
    onForm(null);
    runsStoreOf(source).refresh();
  };
  const resumes = form === 'resume' && whyNotChanged(run) === undefined;
  const changes = form === 'change' && whyNoChange(run) === undefined;
  const claims = form === 'claim' && run.view_only;
  const forks = (form === 'fork' || form === 'longer') && whyNoFork(run) === undefined;
  if (!resumes && !changes && !claims && !forks && !action.error) return null;
  return (
    <div className="imgcls-action-forms">
      {resumes && <ResumeForm run={run} onCancel={() => onForm(null)} onResumed={done} />}
      {changes && <ChangeForm run={run} onDone={done} />}
      {forks && (
        <ForkForm
          key={opened}
          {...{ run, at }}
          longer={form === 'longer'}
          focus={at !== undefined}
          onCancel={() => onForm(null)}
        />
      )}
      {claims && <ClaimForm run={run} onCancel={() => onForm(null)} onClaimed={done} />}
      <Problem>{action.error}</Problem>
    </div>
  );
}

/** How a form was opened. at: the checkpoint that a menu was opened at; opened: each time another number. */
interface Opened {
  at?: string;
  opened: number;
}

/** What the buttons of a run share. */
export function useActions(id: string): Pick<ButtonsProps, 'action' | 'form' | 'onForm'> & Opened {
  const source = useSource();
  const [now, setNow] = useState<Opened & { form: OpenForm }>({ form: null, opened: 0 });
  const open = useCallback(
    (form: OpenForm, at?: string) => setNow(({ opened }) => ({ form, at, opened: opened + 1 })),
    [],
  );
  useEffect(() => forkPointsOf(source).listen(id, at => open('fork', at)), [source, id, open]);
  return { action: useAction(), ...now, onForm: open };
}
