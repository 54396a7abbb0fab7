// The page of a task run: what it looks at, how far it is, and the way to what it found.
import { isActive, type RunDetail } from '../data/types';
import { useQuery } from '../data/use_query';
import { ExportResult, exportOf } from '../forms/export_result';
import { Button } from '../ui/button';
import { count } from '../ui/format';
import { NameLink } from '../ui/name_link';
import { useNavigate } from '../ui/navigation';
import { StatusText, timeLeft } from '../ui/run_state';
import '../ui/layout.css';
import '../ui/table.css';

const MOST_SECONDS = 20; // of a speed trial

interface Audit {
  dataset: string;
  dataset_id: number;
  root: string;
  revision: number;
  model: { title: string } | null;
}

/** What the task was asked to do; null: another version queued it. */
const auditOf = (run: RunDetail): Audit | null => {
  const found = run.payload.audit as Audit | undefined;
  return found && typeof found.dataset === 'string' ? found : null;
};

/** The run whose steps the task computes again; null: it is another task. */
const verifiedOf = (run: RunDetail): { run: string; title: string } | null => {
  const found = run.payload.verify as { run: string; title: string } | undefined;
  return found && typeof found.run === 'string' ? found : null;
};

function ExportTab({ run }: { run: RunDetail }) {
  const { title, out } = exportOf(run)!;
  return (
    <div className="imgcls-stack">
      {isActive(run.state) ? (
        <p role="status">
          “{title}” goes to {out}: <StatusText run={run} />
        </p>
      ) : (
        <ExportResult run={run} />
      )}
    </div>
  );
}

export function TaskTab({ run }: { run: RunDetail }) {
  const navigate = useNavigate();
  const audit = auditOf(run);
  const { data: datasets = [] } = useQuery('datasets', {});
  if (exportOf(run)) return <ExportTab run={run} />;
  const verified = verifiedOf(run);
  if (verified)
    return (
      <div className="imgcls-stack">
        <p role={isActive(run.state) ? 'status' : undefined}>
          Steps of <NameLink name={verified.title} to={{ view: 'run', id: verified.run }} /> are computed
          again, in a fresh process. What came of it stands on the run’s page, under <i>Environment</i>.{' '}
          {isActive(run.state) && <StatusText run={run} />}
        </p>
      </div>
    );
  if (run.payload.speed_trial)
    return (
      <p className="imgcls-muted">
        A trial of {MOST_SECONDS} seconds on images of noise, so that a form can say how long a run would
        take. It keeps its speed and memory alone.
      </p>
    );
  if (!audit) return <p className="imgcls-muted">Another version of imgcls-lab queued this task.</p>;
  const dataset = datasets.find(item => item.id === audit.dataset_id);
  const total = run.total_steps ?? 0;
  const facts: [string, string][] = [
    ['data set', audit.dataset],
    ['folder', audit.root],
    ['model', audit.model?.title ?? 'none: files, copies and quality alone'],
    ['revision', audit.revision ? String(audit.revision) : 'the folders as they are'],
    ['images', total ? `${count(run.step)} of ${count(total)}` : '–'],
  ];
  return (
    <div className="imgcls-stack">
      {(run.phase || run.seconds_left != null) && (
        <p role="status">
          <StatusText run={run} /> {timeLeft(run)}
        </p>
      )}
      <table className="imgcls-table imgcls-table-text">
        <tbody>
          {facts.map(([name, value]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {dataset && (
        <div className="imgcls-buttons">
          <Button onClick={() => navigate({ view: 'dataset', id: dataset.id, tab: 'Problems' })}>
            What it found
          </Button>
        </div>
      )}
    </div>
  );
}
