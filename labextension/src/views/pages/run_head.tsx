// The head of a run's page: its name, what it is, and what can be done with it.
import type { ReactNode } from 'react';
import { mutate } from '../data/mutate';
import { runsStoreOf } from '../data/runs_store';
import { count, leaf, modelOf } from '../ui/format';
import { useAction, useQuery } from '../data/use_query';
import { useNavigate, type Place } from '../ui/navigation';
import { useSource, type ConnectionState } from '../data/source';
import { ConnectionNotice, Problem } from '../ui/messages';
import { State } from '../ui/run_state';
import type { RunDetail } from '../data/types';
import { ActionForms, Actions, useActions } from './run_actions';
import { EditableTitle } from './editable_title';
import { OwnerChip } from './owner';
import { Tags } from './run_tags';
import { Waits } from '../ui/run_waits';
import { useWidth } from '../ui/use_width';
import '../ui/inputs.css';
import './run_head.css';

const Chip = ({ children, title }: { children: ReactNode; title?: string }) => (
  <span className="imgcls-chip" title={title}>
    {children}
  </span>
);

/** The name of what the run has to do with, which leads to its page. */
function Leads({ to, children }: { to: Place; children: ReactNode }) {
  const navigate = useNavigate();
  return (
    <button type="button" className="imgcls-plain" onClick={() => navigate(to)}>
      {children}
    </button>
  );
}

function Title({ run }: { run: RunDetail }) {
  const source = useSource();
  const { error, act } = useAction();
  const rename = async (name: string) => {
    if (await act('rename', () => mutate(source, 'runs.edit', { id: run.id, edit: { name } })))
      runsStoreOf(source).refresh();
  };
  return (
    <div className="imgcls-head-title">
      <EditableTitle
        name={run.name}
        label="Name of the run"
        mayChange={run.may_change}
        onSave={name => void rename(name)}
      />
      <Problem>{error}</Problem>
    </div>
  );
}

/** The model that the run began with; the best of another run leads to that. */
function ModelChip({ run }: { run: RunDetail }) {
  const { model_flavour: flavour, from_best: fromBest, parent_id: parentId } = run;
  const { data: parent } = useQuery('run', fromBest && parentId ? { id: parentId } : null);
  if (!flavour) return null;
  return (
    <Chip title={flavour}>
      {fromBest && parent ? (
        <>
          best of <Leads to={{ view: 'run', id: parent.id }}>{parent.name}</Leads>
        </>
      ) : (
        modelOf(run)
      )}
    </Chip>
  );
}

/** Where a fork left its parent, which it leads to; one whose parent was deleted says where alone. */
function ForkChip({ run }: { run: RunDetail }) {
  const { fork_step: step, fork_epoch: epoch, parent_id: parentId } = run;
  const { data: parent } = useQuery('run', step != null && parentId ? { id: parentId } : null);
  if (step == null) return null;
  const place = epoch != null && Number.isInteger(epoch) ? `epoch ${count(epoch)}` : `step ${count(step)}`;
  return (
    <Chip title="It goes on from a checkpoint of that run">
      forked from{' '}
      {parent ? <Leads to={{ view: 'run', id: parent.id }}>{parent.name}</Leads> : 'a run that was deleted,'}{' '}
      at {place}
    </Chip>
  );
}

const WHOLE = 1000; // CSS pixels in which the name and all buttons stand side by side

export function Head({
  run,
  connection,
  onDeleted,
}: {
  run: RunDetail;
  connection: ConnectionState;
  onDeleted: () => void;
}) {
  const { data: datasets } = useQuery('datasets', {});
  const dataset = datasets?.find(item => item.id === run.dataset_id);
  const attempt =
    run.attempt > 1
      ? `attempt ${run.attempt}${run.resumed_at_step == null ? '' : `, resumed at step ${count(run.resumed_at_step)}`}`
      : null;
  const actions = useActions(run.id);
  const [line, width] = useWidth<HTMLDivElement>();
  return (
    <>
      <div className="imgcls-head">
        <div className="imgcls-head-line" ref={line}>
          <Title run={run} />
          <Actions run={run} {...actions} narrow={width > 0 && width < WHOLE} onDeleted={onDeleted} />
        </div>
        <div className="imgcls-chips">
          <Chip>
            <State state={run.state} unreachable={run.unreachable} />
          </Chip>
          <OwnerChip run={run} />
          <Chip title="Its project">
            <Leads to={{ view: 'project', id: run.project_id }}>{run.project}</Leads>
          </Chip>
          {run.kind !== 'train' && <Chip>{run.kind}</Chip>}
          <ModelChip run={run} />
          <ForkChip run={run} />
          {run.root && (
            <Chip title={run.root}>
              {dataset ? (
                <Leads to={{ view: 'dataset', id: dataset.id }}>{dataset.name}</Leads>
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
          <Tags run={run} />
          <Waits run={run} />
          <ConnectionNotice connection={connection} />
        </div>
      </div>
      <ActionForms run={run} {...actions} />
    </>
  );
}
