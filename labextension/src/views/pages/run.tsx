// The page of a run: what it is, how it stands, its curves, evaluation, config, checkpoints and log.
import { useEffect, useRef, useState } from 'react';
import { Curves, CurveTools, useChoices } from './curves';
import { ClassTable, Evaluation, LeftOut, useBestReport, whichOf } from './evaluation';
import { textOf } from '../forms/config_form';
import { bytes, count, duration, moment } from '../ui/format';
import { useLog, useQuery, useRun } from '../data/hooks';
import { Figures, Message } from '../live/live_run';
import { Head } from './run_head';
import { Button, Problem, Progress, State } from '../ui/states';
import { SweepTab } from '../live/sweep_results';
import { Tabs } from '../ui/tabs';
import { isActive, isUnderWay, type RunDetail } from '../data/types';

const TABS = ['Trials', 'Plots', 'Curves', 'Evaluation', 'Config', 'Checkpoints', 'Log'] as const;
type Tab = (typeof TABS)[number];
const OF_SWEEPS: Tab[] = ['Trials', 'Plots'];

/** What there is to see of a run of this kind. */
const tabsOf = (kind: RunDetail['kind']): Tab[] =>
  kind === 'sweep' ? [...OF_SWEEPS, 'Log'] : TABS.filter(tab => !OF_SWEEPS.includes(tab));

/** Says that the figures of a run that nobody looks after stand still. */
function Unattended({ run }: { run: RunDetail }) {
  const { data } = useQuery('devices', {});
  const here = data?.executors.filter(item => item.host === run.host) ?? [];
  if (!data || !isUnderWay(run.state) || run.unreachable || here.some(item => item.state === 'alive'))
    return null;
  return (
    <p className="imgcls-note" role="status">
      As of {moment(Math.max(run.updated_at, ...here.map(item => item.heartbeat_at)))}: the figures stand still,
      the run may go on. {data.message}
    </p>
  );
}

/** What was said when a batch was queued. */
function Warnings({ run }: { run: RunDetail }) {
  const told = Array.isArray(run.payload.warnings) ? (run.payload.warnings as unknown[]) : [];
  return told.map(sentence => (
    <p key={String(sentence)} className="imgcls-note">
      {String(sentence)}
    </p>
  ));
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
  const { data: report } = useBestReport(run);
  return (
    <div className="imgcls-stack">
      <Figures run={run} best={report} />
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
              Per class · {whichOf(run, report)}
              {report.classes.length > 5 && <span className="imgcls-muted"> · the five worst</span>}
            </h3>
            <ClassTable report={report} most={5} />
          </section>
        )}
      </Curves>
    </div>
  );
}

/** Images that the run's scan could not read, as its manifest has them: path -> reason. */
function unreadableOf(run: RunDetail): Record<string, string> {
  const data = run.manifest?.data as { quarantined?: Record<string, string> } | undefined;
  return data?.quarantined ?? {};
}

/** The whole page of a run. */
export function RunPage({
  id,
  onTitle,
  onClose,
}: {
  id: string;
  onTitle?: (title: string) => void;
  /** Closes the page, where the host can. */
  onClose?: () => void;
}) {
  const { run, error, gone, link, reload } = useRun(id);
  const [chosen, setTab] = useState<Tab>();
  const [deleted, setDeleted] = useState(false);
  const name = run?.name;
  useEffect(() => {
    if (name) onTitle?.(name);
  }, [name, onTitle]);
  if (gone || deleted) {
    return (
      <div className="imgcls-empty">
        <p className="imgcls-muted">
          {name ? `The run “${name}” was deleted.` : 'This run is not there any more: it was deleted.'}
        </p>
        {onClose && <Button onClick={onClose}>Close this tab</Button>}
      </div>
    );
  }
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
      <Head run={run} link={link} onDeleted={() => setDeleted(true)} />
      <div className="imgcls-run-standing">
        {isActive(run.state) && <Progress run={run} />}
        <Message run={run} />
        <Unattended run={run} />
        <Warnings run={run} />
        <LeftOut reasons={unreadableOf(run)} />
      </div>
      <Tabs label="What to see of the run" names={tabs} open={tab} onOpen={setTab} panelClass="imgcls-tab">
        {(tab === 'Trials' || tab === 'Plots') && <SweepTab run={run} plots={tab === 'Plots'} />}
        {tab === 'Curves' && <CurvesTab run={run} />}
        {tab === 'Evaluation' && <Evaluation run={run} />}
        {tab === 'Config' && <ConfigTab run={run} />}
        {tab === 'Checkpoints' && <CheckpointsTab run={run} />}
        {tab === 'Log' && <LogTab run={run} />}
      </Tabs>
    </article>
  );
}
