// The page of a run: what it is, how it stands, its curves, evaluation, config, checkpoints and log.
import { useEffect, useRef, useState } from 'react';
import { ConfirmButton } from './confirm';
import { Curves, CurveTools, useChoices } from './curves';
import { ClassTable, Evaluation, useLastReport } from './evaluation';
import { feedOf } from './feed';
import { textOf } from './form';
import { bytes, count, duration, leaf, moment } from './format';
import { useAction, useLog, useQuery, useRun } from './hooks';
import { Figures, Message } from './live';
import { useGo } from './place';
import { useSource, type Command } from './source';
import { Button, Chip, LinkState, Problem, Progress, State } from './states';
import { SweepTab } from './sweep';
import { LIVE, isActive, type RunDetail } from './types';

const TABS = ['Trials', 'Plots', 'Curves', 'Evaluation', 'Config', 'Checkpoints', 'Log'] as const;
type Tab = (typeof TABS)[number];
const OF_SWEEPS: Tab[] = ['Trials', 'Plots'];

/** What there is to see of a run of this kind. */
const tabsOf = (kind: RunDetail['kind']): Tab[] =>
  kind === 'sweep' ? [...OF_SWEEPS, 'Log'] : TABS.filter(tab => !OF_SWEEPS.includes(tab));

function Actions({ run, onDeleted }: { run: RunDetail; onDeleted: () => void }) {
  const source = useSource();
  const go = useGo();
  const { busy, error, act } = useAction();
  const ask = (name: Extract<Command, 'stop' | 'kill' | 'resume'>) => () =>
    void act(name, async () => {
      await source.command(name, { id: run.id });
      feedOf(source).refresh();
    });
  const remove = async () => {
    if (await act('delete', () => source.command('runs.delete', { id: run.id }))) {
      feedOf(source).refresh();
      onDeleted();
    }
  };
  const live = LIVE.includes(run.state);
  const stopping = live && run.desired !== 'run';
  return (
    <div className="imgcls-actions">
      <div className="imgcls-buttons">
        {run.state === 'queued' && (
          <Button busy={busy !== null} onClick={ask('stop')}>
            Cancel
          </Button>
        )}
        {live && !stopping && (
          <Button
            busy={busy !== null}
            disabled={run.external}
            title={
              run.external ? 'It runs in a notebook or shell: stop it there' : 'Save a checkpoint, then end'
            }
            onClick={ask('stop')}
          >
            Stop
          </Button>
        )}
        {stopping && (
          <ConfirmButton
            label="Kill"
            question="End it now, without a checkpoint?"
            busy={busy !== null}
            disabled={run.desired === 'kill'}
            onConfirm={ask('kill')}
          />
        )}
        {run.resumable && !isActive(run.state) && (
          <Button primary busy={busy !== null} onClick={ask('resume')}>
            Resume
          </Button>
        )}
        {run.kind === 'notebook' && (
          <Button disabled={run.attempt === 0} onClick={() => go({ view: 'executed', id: run.id })}>
            Open notebook
          </Button>
        )}
        {run.kind === 'train' && <Button onClick={() => go({ view: 'new', from: run.id })}>Clone…</Button>}
        {run.kind !== 'sweep' && (
          <>
            <Button onClick={() => go({ view: 'newsweep', from: run.id })}>Sweep…</Button>
            <Button onClick={() => go({ view: 'compare', ids: [run.id] })}>Compare…</Button>
          </>
        )}
        <Button
          onClick={() =>
            go({ view: 'board', ...(run.kind === 'sweep' ? { sweep_id: run.id } : { run_ids: [run.id] }) })
          }
        >
          TensorBoard
        </Button>
        {!isActive(run.state) && (
          <ConfirmButton
            label="Delete…"
            question="Delete this run with its checkpoints and log?"
            busy={busy !== null}
            onConfirm={() => void remove()}
          />
        )}
      </div>
      <Problem>{error}</Problem>
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
      feedOf(source).refresh();
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
        <button type="button" className="imgcls-title" title="Rename" onClick={() => setEditing(true)}>
          {run.name}
        </button>
      </h1>
      <Problem>{error}</Problem>
    </>
  );
}

function Head({
  run,
  link,
  onDeleted,
}: {
  run: RunDetail;
  link: Parameters<typeof LinkState>[0]['link'];
  onDeleted: () => void;
}) {
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
          {run.kind !== 'train' && <Chip>{run.kind}</Chip>}
          {run.model_flavour && <Chip title={run.model_flavour}>{leaf(run.model_flavour)}</Chip>}
          {run.root && <Chip title={run.root}>{dataset?.name ?? leaf(run.root)}</Chip>}
          {run.devices.length > 0 && <Chip title={run.host ?? undefined}>{run.devices.join(', ')}</Chip>}
          {attempt && <Chip>{attempt}</Chip>}
          {run.external && (
            <Chip title="It runs in a notebook or shell, not under the executor">in a kernel or shell</Chip>
          )}
          {run.phase && LIVE.includes(run.state) && <span className="imgcls-muted">{run.phase}…</span>}
          <LinkState link={link} />
        </div>
      </div>
      <Actions run={run} onDeleted={onDeleted} />
    </header>
  );
}

function ConfigTab({ run }: { run: RunDetail }) {
  const { data: schema } = useQuery('schema', {});
  const properties = (schema?.json_schema.properties ?? {}) as Record<
    string,
    { title?: string; default?: unknown }
  >;
  const [onlyChanged, setOnlyChanged] = useState(false);
  const rows = Object.entries(run.config).map(([name, value]) => {
    const property = properties[name];
    const differs = property !== undefined && textOf(value) !== textOf(property.default);
    return { name, value, differs, title: property?.title ?? name };
  });
  return (
    <div className="imgcls-stack">
      <div className="imgcls-tools">
        <label>
          <input type="checkbox" checked={onlyChanged} onChange={e => setOnlyChanged(e.target.checked)} />{' '}
          only what differs from the defaults
        </label>
      </div>
      <table className="imgcls-table imgcls-table-text">
        <thead>
          <tr>
            <th>setting</th>
            <th>value</th>
            <th>field</th>
          </tr>
        </thead>
        <tbody>
          {rows
            .filter(row => row.differs || !onlyChanged)
            .map(row => (
              <tr key={row.name}>
                <td>{row.title}</td>
                <td className={row.differs ? 'imgcls-num imgcls-strong' : 'imgcls-num'}>
                  {row.value == null ? '–' : textOf(row.value)}
                </td>
                <td className="imgcls-mono">{row.name}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}

function CheckpointsTab({ run }: { run: RunDetail }) {
  return (
    <div className="imgcls-stack">
      <p className="imgcls-note">
        In <code className="imgcls-mono imgcls-select">{run.folder}/checkpoints</code>;{' '}
        <code className="imgcls-mono">best</code> and <code className="imgcls-mono">last</code> load with{' '}
        <code className="imgcls-mono">from_pretrained</code>.
      </p>
      {run.checkpoints.length === 0 ? (
        <p className="imgcls-muted">No checkpoint yet.</p>
      ) : (
        <table className="imgcls-table imgcls-table-text">
          <thead>
            <tr>
              <th>checkpoint</th>
              <th>links</th>
              <th>step</th>
              <th>epoch</th>
              <th>size</th>
              <th>saved</th>
            </tr>
          </thead>
          <tbody>
            {run.checkpoints.map(item => (
              <tr key={item.name}>
                <td className="imgcls-mono">{item.name}</td>
                <td>{item.links.join(', ') || '–'}</td>
                <td>{count(item.step)}</td>
                <td>{count(item.epoch)}</td>
                <td>{bytes(item.size)}</td>
                <td>{moment(item.created_at)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <h3>Attempts</h3>
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
    </div>
  );
}

/** What a terminal would show: colour codes dropped, a line that was written over kept in its last form. */
export const readable = (text: string): string =>
  text
    // eslint-disable-next-line no-control-regex
    .replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '')
    .replace(/[^\n]*\r(?!\n)/g, '');

function LogTab({ run }: { run: RunDetail }) {
  const { log, error } = useLog(run.id, isActive(run.state));
  const box = useRef<HTMLPreElement>(null);
  const stick = useRef(true);
  useEffect(() => {
    if (box.current && stick.current) box.current.scrollTop = box.current.scrollHeight;
  }, [log]);
  return (
    <div className="imgcls-stack imgcls-log-tab">
      <Problem>{error}</Problem>
      {log && log.offset > 0 && (
        <p className="imgcls-muted">
          The last {bytes(log.end - log.offset)} of {bytes(log.size)}.
        </p>
      )}
      <pre
        className="imgcls-log"
        ref={box}
        tabIndex={0}
        aria-label="Log"
        onScroll={event => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          stick.current = scrollHeight - scrollTop - clientHeight < 40;
        }}
      >
        {log?.text ? readable(log.text) : log ? 'Nothing was written yet.' : ''}
      </pre>
    </div>
  );
}

function CurvesTab({ run }: { run: RunDetail }) {
  const [choices, setChoices] = useChoices();
  const { data: report } = useLastReport(run);
  return (
    <div className="imgcls-stack">
      <Figures run={run} />
      <CurveTools choices={choices} onChange={setChoices} />
      <Curves
        runs={[{ id: run.id, name: run.name, colour: 0 }]}
        active={isActive(run.state)}
        choices={choices}
        sync={`run-${run.id}`}
      >
        {report && (
          <section className="imgcls-card">
            <h3>
              Per class, epoch {report.epoch}
              {report.classes.length > 5 && <span className="imgcls-muted"> · the five worst</span>}
            </h3>
            <ClassTable report={report} most={5} />
          </section>
        )}
      </Curves>
    </div>
  );
}

/** The whole page of a run. */
export function RunPage({
  id,
  onTitle,
  onGone,
}: {
  id: string;
  onTitle?: (title: string) => void;
  onGone?: () => void;
}) {
  const { run, error, link, reload } = useRun(id);
  const [chosen, setTab] = useState<Tab>();
  const [gone, setGone] = useState(false);
  const name = run?.name;
  useEffect(() => {
    if (name) onTitle?.(name);
  }, [name, onTitle]);
  if (gone) return <p className="imgcls-empty imgcls-muted">This run was deleted.</p>;
  if (!run) {
    return error ? (
      <div className="imgcls-empty">
        <Problem>{error}</Problem>
        <Button onClick={reload}>Try again</Button>
      </div>
    ) : (
      <p className="imgcls-empty imgcls-muted">Reading the run…</p>
    );
  }
  const tabs = tabsOf(run.kind);
  const tab = chosen && tabs.includes(chosen) ? chosen : tabs[0]!;
  return (
    <article
      className="imgcls-run"
      data-run={run.id}
      data-run-state={run.state}
      data-attempt={run.attempt}
      data-step={run.step}
    >
      <Head
        run={run}
        link={link}
        onDeleted={() => {
          setGone(true);
          onGone?.();
        }}
      />
      <div className="imgcls-run-standing">
        {isActive(run.state) && <Progress run={run} />}
        <Message run={run} />
      </div>
      <div className="imgcls-tabs" role="tablist">
        {tabs.map(name => (
          <button
            key={name}
            type="button"
            role="tab"
            aria-selected={tab === name}
            onClick={() => setTab(name)}
          >
            {name}
          </button>
        ))}
      </div>
      <div className="imgcls-tab" role="tabpanel" aria-label={tab}>
        {(tab === 'Trials' || tab === 'Plots') && <SweepTab run={run} plots={tab === 'Plots'} />}
        {tab === 'Curves' && <CurvesTab run={run} />}
        {tab === 'Evaluation' && <Evaluation run={run} />}
        {tab === 'Config' && <ConfigTab run={run} />}
        {tab === 'Checkpoints' && <CheckpointsTab run={run} />}
        {tab === 'Log' && <LogTab run={run} />}
      </div>
    </article>
  );
}
