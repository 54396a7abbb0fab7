// The tab of a run's checkpoints and attempts. A checkpoint becomes a registered model, or makes space.
import { useState } from 'react';
import { mutate } from '../data/mutate';
import { runsStoreOf } from '../data/runs_store';
import { useSource } from '../data/source';
import { isActive, type Checkpoint, type RunDetail } from '../data/types';
import { useAction } from '../data/use_query';
import { ExportModel } from '../forms/export_model';
import { ForkForm, mayFork, whyNoFork } from '../forms/fork_form';
import { Button } from '../ui/button';
import { ConfirmButton } from '../ui/confirm_button';
import { bytes, count, duration, moment } from '../ui/format';
import { Problem } from '../ui/messages';
import { State } from '../ui/run_state';
import { forkPointsOf } from './fork_points';
import '../ui/layout.css';
import '../ui/table.css';
import './run_checkpoints.css';

interface RowProps {
  run: RunDetail;
  item: Checkpoint;
  action: ReturnType<typeof useAction>;
  /** `deleted`: the name of the checkpoint that is gone. */
  onSaid: (text: string, deleted?: string) => void;
  /** Write it for other programs. */
  onExport: () => void;
  /** Go on from it as another run. */
  onFork: () => void;
}

function Attempts({ run }: { run: RunDetail }) {
  return (
    <table className="imgcls-table imgcls-table-text">
      <thead>
        <tr>
          <th>attempt</th>
          <th>state</th>
          <th>from step</th>
          <th>device</th>
          <th>started</th>
          <th>took</th>
        </tr>
      </thead>
      <tbody>
        {run.attempts.map(item => (
          <tr key={item.number} title={item.message ?? undefined}>
            <td>{item.number}</td>
            <td>
              <State state={item.state} />
            </td>
            <td>{count(item.resume_step ?? 0)}</td>
            <td>{item.devices.join(', ') || '–'}</td>
            <td>{moment(item.started_at)}</td>
            <td>{item.ended_at ? duration(item.ended_at - item.started_at) : '–'}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Why a checkpoint cannot be deleted; undefined: it can. */
export function whyKept(run: RunDetail, item: Checkpoint): string | undefined {
  if (isActive(run.state)) return 'The run removes old checkpoints by itself: stop it before you delete one';
  if (run.view_only) return 'Claim the run first: its folder came from elsewhere';
  if (item.links.includes('best')) return 'It holds the best model of the run';
  if (item.links.includes('last') && run.resumable) return 'A resume would go on from it';
  return undefined;
}

/** Why a checkpoint cannot be registered as a model; undefined: it can. */
const whyNoModel = (run: RunDetail, item: Checkpoint): string | undefined =>
  isActive(run.state) && !item.links.includes('best')
    ? 'The run removes old checkpoints by itself: wait until it has ended'
    : undefined;

function Row({ run, item, action, onSaid, onExport, onFork }: RowProps) {
  const source = useSource();
  const { busy, act } = action;
  const kept = whyKept(run, item);
  const noModel = whyNoModel(run, item);
  const remove = () =>
    act('delete', async () => {
      const { freed } = await source.command('checkpoints.delete', { id: run.id, name: item.name });
      runsStoreOf(source).refresh();
      onSaid(`${item.name} was deleted: ${bytes(freed)} are free again.`, item.name);
    });
  const register = () =>
    act('model', async () => {
      const model = await mutate(source, 'models.register', { run_id: run.id, checkpoint: item.name });
      onSaid(`Registered as the model “${model.name}”.`);
    });
  return (
    <tr
      data-menu={mayFork(run) ? 'fork' : undefined}
      onContextMenu={() => forkPointsOf(source).point(run, item)}
    >
      <td className="imgcls-mono imgcls-nowrap">{item.name}</td>
      <td>{item.links.join(', ') || '–'}</td>
      <td>{count(item.step)}</td>
      <td>{count(item.epoch)}</td>
      <td className="imgcls-nowrap">{bytes(item.size)}</td>
      <td>{moment(item.created_at)}</td>
      {run.may_change && (
        <td>
          <span className="imgcls-buttons">
            <Button
              busy={busy !== null}
              disabled={noModel !== undefined}
              title={noModel ?? 'Register it, so that other runs can begin with it'}
              onClick={() => void register()}
            >
              Make a model
            </Button>
            <Button
              disabled={noModel !== undefined || run.view_only}
              title={noModel ?? 'Write it to a folder for other programs, checked on real images'}
              onClick={onExport}
            >
              Export…
            </Button>
            {run.kind === 'train' && (
              <Button
                disabled={whyNoFork(run) !== undefined}
                title={whyNoFork(run) ?? 'Go on from it as a new run, with other settings or to more epochs'}
                onClick={onFork}
              >
                Fork…
              </Button>
            )}
            <ConfirmButton
              label="Delete…"
              question={`Delete ${bytes(item.size)}?`}
              busy={busy !== null}
              disabled={kept !== undefined}
              title={kept}
              onConfirm={() => void remove()}
            />
          </span>
        </td>
      )}
    </tr>
  );
}

export function CheckpointsTab({ run }: { run: RunDetail }) {
  const action = useAction();
  const [said, setSaid] = useState('');
  const [exporting, setExporting] = useState<Checkpoint | null>(null);
  const [forked, setForked] = useState<string | null>(null);
  const [gone, setGone] = useState<ReadonlySet<string>>(new Set());
  const items = run.checkpoints.filter(item => !gone.has(item.name));
  return (
    <div className="imgcls-stack imgcls-checkpoints-tab">
      <p className="imgcls-note">
        In <code className="imgcls-mono imgcls-select">{run.folder}/checkpoints</code>;{' '}
        <code className="imgcls-mono">best</code> and <code className="imgcls-mono">last</code> load with{' '}
        <code className="imgcls-mono">from_pretrained</code>.
      </p>
      {items.length === 0 ? (
        <p className="imgcls-muted">
          {isActive(run.state) ? 'No checkpoint yet.' : 'It kept no checkpoint.'}
        </p>
      ) : (
        <table className="imgcls-table imgcls-table-text imgcls-checkpoints">
          <thead>
            <tr>
              <th>checkpoint</th>
              <th>links</th>
              <th>step</th>
              <th>epoch</th>
              <th>size</th>
              <th>saved</th>
              {run.may_change && (
                <th>
                  <span className="imgcls-sr">what can be done with it</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {items.map(item => (
              <Row
                key={item.name}
                run={run}
                item={item}
                action={action}
                onExport={() => setExporting(item)}
                onFork={() => setForked(item.name)}
                onSaid={(text, deleted) => {
                  setSaid(text);
                  if (deleted) setGone(was => new Set(was).add(deleted));
                }}
              />
            ))}
          </tbody>
        </table>
      )}
      {forked !== null && <ForkForm key={forked} run={run} at={forked} onCancel={() => setForked(null)} />}
      {exporting && (
        <ExportModel
          key={exporting.name}
          target={{ run_id: run.id, checkpoint: exporting.name }}
          title={`${run.name} · ${exporting.links.includes('best') ? 'best' : `step ${exporting.step}`}`}
          hasImages={run.best !== null}
          onClose={() => setExporting(null)}
        />
      )}
      <p className="imgcls-note" role="status">
        {said}
      </p>
      <Problem>{action.error}</Problem>
      {run.attempts.length > 0 && (
        <>
          <h3>Attempts</h3>
          <Attempts run={run} />
        </>
      )}
    </div>
  );
}
