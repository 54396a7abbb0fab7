// The page of a run: what it is, how it stands, its curves, evaluation, config, checkpoints and log.
import { useCallback, useState } from 'react';
import { isActive, isUnderWay, type RunDetail } from '../data/types';
import { useQuery } from '../data/use_query';
import { useRun } from '../data/use_runs';
import { FIRST_STATE, evaluatedOf, type EvaluationState } from '../evaluation/filter';
import { Flips } from '../evaluation/flips';
import { useCorrections } from '../evaluation/use_corrections';
import { Message } from '../live/live_run';
import { SweepTab } from '../live/sweep_results';
import { moment } from '../ui/format';
import { lazyView } from '../ui/lazy_view';
import { Progress } from '../ui/run_state';
import { PageWithPanel } from '../ui/side_panel';
import { Tabs } from '../ui/tabs';
import { DraftBar } from './draft_bar';
import { LeftOut } from './left_out';
import { RetrainBar } from './retrain_bar';
import { CheckpointsTab } from './run_checkpoints';
import { ConfigTab } from './run_config';
import { CurvesTab } from './run_curves';
import { EnvironmentTab } from './run_environment';
import { FilesTab } from './run_files';
import { Head } from './run_head';
import { HistoryTab } from './run_history';
import { belongsTo } from './owner';
import { bestEpochOf, useReport } from './use_report';
import { LogTab } from './run_log';
import { NotesTab } from './run_notes';
import { TaskTab } from './run_task';
import { ScanWarnings } from './scan_warnings';
import { Gone, Unread, useTitle, type PageProps } from '../ui/page_frame';
import '../ui/layout.css';
import './run.css';

const EvaluationPage = lazyView(() =>
  import('../evaluation/evaluation_page').then(page => page.EvaluationPage),
);
const TryModel = lazyView(() => import('../evaluation/try_model').then(page => page.TryModel));

const TABS = [
  'Task',
  'Trials',
  'Plots',
  'Curves',
  'Evaluation',
  'Try it',
  'Config',
  'Environment',
  'Checkpoints',
  'Files',
  'Notes',
  'History',
  'Log',
] as const;
type Tab = (typeof TABS)[number];
const OF_SWEEPS: Tab[] = ['Trials', 'Plots'];
const OF_TRAININGS = TABS.filter(tab => tab !== 'Task' && !OF_SWEEPS.includes(tab));

/** What there is to see of a run of this kind. */
const TABS_OF: Record<RunDetail['kind'], Tab[]> = {
  train: OF_TRAININGS,
  notebook: OF_TRAININGS.filter(tab => tab !== 'Try it' && tab !== 'Environment'),
  sweep: [...OF_SWEEPS, 'Files', 'Notes', 'History', 'Log'],
  task: ['Task', 'Files', 'Notes', 'History', 'Log'],
};

/** Shown while no executor attends to the run: its metrics stand still. */
function Unattended({ run }: { run: RunDetail }) {
  const { data } = useQuery('devices', {});
  const here = data?.executors.filter(item => item.host === run.host && item.home === run.home) ?? [];
  if (!data || !isUnderWay(run.state) || run.unreachable || here.some(item => item.state === 'alive'))
    return null;
  return (
    <p className="imgcls-note" role="status">
      As of {moment(Math.max(run.updated_at, ...here.map(item => item.heartbeat_at)))}: the figures stand
      still, the run may go on. {data.message}
    </p>
  );
}

/** What was said when a batch was queued. */
function Warnings({ run }: { run: RunDetail }) {
  const warnings = Array.isArray(run.payload.warnings) ? (run.payload.warnings as unknown[]) : [];
  return warnings.map(sentence => (
    <p key={String(sentence)} className="imgcls-note">
      {String(sentence)}
    </p>
  ));
}

/** The epoch that a choice of val/ means, as a report is asked for. */
const epochOf = (run: RunDetail, choice: 'best' | number): { epoch?: number } =>
  choice === 'best' ? bestEpochOf(run) : { epoch: choice };

/** The evaluations of a run, with the draft of what is corrected in them. `state` is kept while another tab is open. */
function EvaluationTab({
  run,
  state,
  onState,
}: {
  run: RunDetail;
  state: EvaluationState;
  onState: (part: Partial<EvaluationState>) => void;
}) {
  const standing = useCorrections(run);
  const [saved, setSaved] = useState(false);
  const choice = evaluatedOf(state.choice);
  const { data: report } = useReport(run, choice === 'test' ? { split: 'test' } : epochOf(run, choice));
  return (
    <div className="imgcls-stack">
      <Flips run={run} />
      <LeftOut reasons={report?.left_out ?? {}} where={report ? ` of ${report.split}/` : undefined} />
      <EvaluationPage run={run} state={state} onState={onState} corrections={standing.corrections} />
      {standing.dataset && (
        <div className="imgcls-run-draft">
          <RetrainBar run={run} standing={standing} focus={saved} />
          <DraftBar
            dataset={standing.dataset}
            newest={standing.newest}
            draft={standing.draft}
            onSaved={() => setSaved(true)}
          />
        </div>
      )}
    </div>
  );
}

/** The tabs of a run, and what is in the open one. */
function RunTabs({ run }: { run: RunDetail }) {
  const [chosen, setTab] = useState<Tab>();
  const [evaluation, setEvaluation] = useState(FIRST_STATE);
  const changeEvaluation = useCallback(
    (part: Partial<EvaluationState>) => setEvaluation(was => ({ ...was, ...part })),
    [],
  );
  const tabs = TABS_OF[run.kind];
  const tab = chosen && tabs.includes(chosen) ? chosen : tabs[0]!;
  return (
    <Tabs
      label="What to see of the run"
      names={tabs}
      open={tab}
      onOpen={setTab}
      panelClass={tab === 'Evaluation' ? 'imgcls-tab imgcls-tab-open' : 'imgcls-tab'}
    >
      <h2 className="imgcls-sr">{tab}</h2>
      {tab === 'Task' && <TaskTab run={run} />}
      {(tab === 'Trials' || tab === 'Plots') && <SweepTab run={run} plots={tab === 'Plots'} />}
      {tab === 'Curves' && <CurvesTab run={run} />}
      {tab === 'Evaluation' && <EvaluationTab run={run} state={evaluation} onState={changeEvaluation} />}
      {tab === 'Try it' &&
        (run.best === null ? (
          <p className="imgcls-muted">
            {isActive(run.state)
              ? 'There is no model to try yet: it comes with the first validation of the run.'
              : 'There is no model to try: the run was not validated.'}
          </p>
        ) : (
          <TryModel id={run.id} />
        ))}
      {tab === 'Config' && <ConfigTab run={run} />}
      {tab === 'Environment' && <EnvironmentTab run={run} />}
      {tab === 'Files' && <FilesTab run={run} />}
      {tab === 'Checkpoints' && <CheckpointsTab run={run} />}
      {tab === 'Notes' && <NotesTab run={run} />}
      {tab === 'History' && <HistoryTab run={run} />}
      {tab === 'Log' && <LogTab run={run} />}
    </Tabs>
  );
}

/** The whole page of a run. */
export function RunPage({ id, onTitle, onClose }: PageProps & { id: string }) {
  const { run, error, gone, connection, reload } = useRun(id);
  const [deleted, setDeleted] = useState(false);
  const name = run?.name;
  useTitle(name, onTitle);
  if (gone || deleted)
    return (
      <Gone onClose={onClose}>
        {name ? `The run “${name}” was deleted.` : 'This run is not there any more: it was deleted.'}
      </Gone>
    );
  if (!run) return <Unread {...{ error, reload }} pending="Reading the run…" />;
  const { state, attempt, step } = run;
  return (
    <article
      className="imgcls-run"
      data-run={run.id}
      data-run-state={state}
      data-attempt={attempt}
      data-step={step}
    >
      <PageWithPanel>
        <Head run={run} connection={connection} onDeleted={() => setDeleted(true)} />
        <div className="imgcls-run-standing">
          {isActive(state) && <Progress run={run} />}
          <Message run={run} />
          {!run.may_change && <p className="imgcls-note">{belongsTo(run.owner, run.project)}</p>}
          <Unattended run={run} />
          {run.elsewhere && <p className="imgcls-note">{run.elsewhere}</p>}
          <Warnings run={run} />
          <ScanWarnings run={run} />
        </div>
        <RunTabs run={run} />
      </PageWithPanel>
    </article>
  );
}
