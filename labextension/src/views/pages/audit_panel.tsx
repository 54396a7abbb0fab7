// The audit of a data set: start it with a model, see how far it is, cancel it.
import { useState } from 'react';
import { mutate } from '../data/mutate';
import { useSource } from '../data/source';
import { isActive, type Audit, type AuditRequest, type Dataset } from '../data/types';
import { useAction, useQuery } from '../data/use_query';
import { Labelled } from '../forms/fields';
import { InlineForm } from '../forms/inline_form';
import { Button } from '../ui/button';
import { ago, count, duration, percent } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './audit_panel.css';

const PHASES: Record<string, string> = {
  files: 'files, copies and quality',
  features: 'features of the images',
  labels: 'labels',
  neighbours: 'neighbours and outliers',
  map: 'map',
  done: 'done',
};
const RUNS = 30; // newest runs that are offered

/** What may give the features, as a request has it. */
function useModels(dataset: Dataset): [value: string, title: string][] {
  const { data: models = [] } = useQuery('models', {});
  const { data: page } = useQuery('runs', {
    states: ['succeeded', 'stopped'],
    sort: 'ended_at',
    limit: RUNS,
  });
  const runs = (page?.items ?? []).filter(run => run.kind === 'train' && run.best);
  const here = (run: (typeof runs)[number]) => Number(run.dataset_id !== dataset.id);
  return [
    ...runs
      .sort((a, b) => here(a) - here(b))
      .map(
        run =>
          [`run ${run.id}`, `the best of “${run.name}”${here(run) ? '' : ', trained on it'}`] as [
            string,
            string,
          ],
      ),
    ...models.filter(item => !item.problem).map(item => [`model ${item.id}`, item.name] as [string, string]),
  ];
}

const requestOf = (choice: string): AuditRequest => {
  const [kind, id] = choice.split(' ');
  return kind === 'run' ? { run_id: id } : kind === 'model' ? { model_id: Number(id) } : {};
};

function StartForm({ dataset, onDone }: { dataset: Dataset; onDone: () => void }) {
  const source = useSource();
  const models = useModels(dataset);
  const [choice, setChoice] = useState<string>();
  const { busy, error, act } = useAction();
  const chosen = choice ?? models[0]?.[0] ?? '';
  const start = async () => {
    const request = requestOf(chosen);
    if (await act('audit', () => mutate(source, 'audits.start', { id: dataset.id, request }))) onDone();
  };
  return (
    <InlineForm
      label="Audit the data set"
      action="Start the audit"
      busy={busy !== null}
      ready
      error={error}
      onSubmit={() => void start()}
      onCancel={onDone}
    >
      <Labelled
        title="Model"
        note="It finds label errors, outliers, neighbours and the map. Without a model: unreadable files, copies and quality."
      >
        {id => (
          <select id={id} value={chosen} autoFocus onChange={event => setChoice(event.target.value)}>
            {models.map(([value, title]) => (
              <option key={value} value={value}>
                {title}
              </option>
            ))}
            <option value="">no model</option>
          </select>
        )}
      </Labelled>
    </InlineForm>
  );
}

/** How far a running audit is. */
function Standing({ audit, dataset }: { audit: Audit; dataset: Dataset }) {
  const source = useSource();
  const { busy, error, act } = useAction();
  const { done, total, seconds_left: left } = audit;
  const fraction = total > 0 ? Math.min(1, done / total) : 0;
  return (
    <div className="imgcls-audit-standing">
      <span role="status">
        {audit.state === 'queued'
          ? 'The audit waits for its turn'
          : PHASES[audit.phase]
            ? `Audit: ${PHASES[audit.phase]}`
            : 'The audit starts; it looks at every file'}
        {total > 0 && ` · ${count(done)} of ${count(total)}`}
        {left != null && ` · ${duration(left)} left`}
      </span>
      <progress value={fraction} max={1} aria-label="Progress of the audit">
        {percent(fraction)}
      </progress>
      {dataset.may_change && (
        <Button
          busy={busy !== null}
          onClick={() => void act('cancel', () => mutate(source, 'audits.cancel', { id: dataset.id }))}
        >
          Cancel
        </Button>
      )}
      <Problem>{error}</Problem>
    </div>
  );
}

function lastOf(audit: Audit): string {
  if (audit.run_id === null) return 'It was not audited yet.';
  const when = audit.ended_at == null ? '' : ` ${ago(audit.ended_at)} ago`.replace('now ago', 'just now');
  const by = audit.model ? ` with ${audit.model}` : ' without a model';
  return audit.state === 'succeeded'
    ? `Audited${when}${by}, ${audit.revision ? `on revision ${audit.revision}` : 'by the labels of its folders'}.${audit.stale ? ' Files changed since.' : ''}`
    : `The audit ${audit.state === 'failed' ? 'failed' : 'was stopped'}${when}.`;
}

export function AuditPanel({ audit, dataset }: { audit: Audit; dataset: Dataset }) {
  const navigate = useNavigate();
  const [starting, setStarting] = useState(false);
  const { state, run_id } = audit;
  if (state && isActive(state)) return <Standing {...{ audit, dataset }} />;
  return (
    <div className="imgcls-stack">
      <div className="imgcls-filters">
        <span className="imgcls-note">
          {lastOf(audit)}{' '}
          {run_id !== null && (
            <button
              type="button"
              className="imgcls-plain"
              onClick={() => navigate({ view: 'run', id: run_id })}
            >
              Show its run
            </button>
          )}
        </span>
        <span className="imgcls-spacer" />
        {dataset.may_change && !starting && (
          <Button onClick={() => setStarting(true)}>{run_id === null ? 'Audit…' : 'Audit again…'}</Button>
        )}
      </div>
      {state === 'failed' && <Problem>{audit.message}</Problem>}
      {audit.notes
        .filter(note => !dataset.notes.includes(note))
        .map(note => (
          <p key={note} className="imgcls-note">
            {note}
          </p>
        ))}
      {starting && <StartForm dataset={dataset} onDone={() => setStarting(false)} />}
    </div>
  );
}
