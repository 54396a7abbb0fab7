// The configs that are saved in a project, and its newest sweeps.
import type { ProjectDetail } from '../data/types';
import { quoted } from '../runs/query_text';
import { FIRST_VIEW } from '../runs/use_run_list';
import { Button } from '../ui/button';
import { ago, count, leaf, metric, metricTitle } from '../ui/format';
import { NameLink } from '../ui/name_link';
import { useNavigate } from '../ui/navigation';
import { State } from '../ui/run_state';
import '../ui/layout.css';
import '../ui/table.css';
import './project_lists.css';

function Configs({ detail }: { detail: ProjectDetail }) {
  const navigate = useNavigate();
  return (
    <section className="imgcls-card">
      <h3>
        Configs {detail.configs.length > 0 && <span className="imgcls-muted">{detail.configs.length}</span>}
      </h3>
      {detail.configs.length === 0 ? (
        <p className="imgcls-muted">A config that is saved in the form of a new run stands here.</p>
      ) : (
        <div className="imgcls-scroll">
          <table className="imgcls-table">
            <thead>
              <tr>
                <th>name</th>
                <th className="imgcls-left">model</th>
                <th>epochs</th>
                <th>changed</th>
                <th aria-label="Actions" />
              </tr>
            </thead>
            <tbody>
              {detail.configs.map(config => (
                <tr key={config.id} data-config={config.id}>
                  <td className="imgcls-clip">
                    <NameLink
                      name={config.name}
                      title={config.description || config.name}
                      to={{ view: 'config', id: config.id }}
                    />
                  </td>
                  <td className="imgcls-left imgcls-clip" title={String(config.config.model_flavour ?? '')}>
                    {leaf(String(config.config.model_flavour ?? '–'))}
                  </td>
                  <td>{String(config.config.epochs ?? '–')}</td>
                  <td className="imgcls-nowrap">{ago(config.updated_at)}</td>
                  <td className="imgcls-nowrap">
                    <Button onClick={() => navigate({ view: 'new-run', config: config.id })}>New run…</Button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Sweeps({ detail }: { detail: ProjectDetail }) {
  const navigate = useNavigate();
  const { sweeps, sweep_count: all, project } = detail;
  return (
    <section className="imgcls-card">
      <h3>Sweeps {all > 0 && <span className="imgcls-muted">{count(all)}</span>}</h3>
      {all === 0 ? (
        <p className="imgcls-muted">A run with several values of a setting is a sweep: it stands here.</p>
      ) : (
        <div className="imgcls-scroll">
          <table className="imgcls-table">
            <thead>
              <tr>
                <th>sweep</th>
                <th className="imgcls-left">state</th>
                <th>best</th>
                <th>launched</th>
              </tr>
            </thead>
            <tbody>
              {sweeps.map(run => (
                <tr key={run.id} data-run={run.id}>
                  <td className="imgcls-clip">
                    <NameLink name={run.name} title={run.name} to={{ view: 'run', id: run.id }} />
                  </td>
                  <td className="imgcls-left">
                    <State state={run.state} unreachable={run.unreachable} />
                  </td>
                  <td title={run.best ? metricTitle(run.best.metric) : undefined}>
                    {run.best ? metric(run.best.metric, run.best.value) : '–'}
                  </td>
                  <td className="imgcls-nowrap">{ago(run.created_at)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {all > sweeps.length && (
        <button
          type="button"
          className="imgcls-plain"
          onClick={() =>
            navigate({
              view: 'runs',
              list: { ...FIRST_VIEW, where: `project=${quoted(project.name)} kind=sweep` },
            })
          }
        >
          All {count(all)} sweeps
        </button>
      )}
    </section>
  );
}

export function ProjectLists({ detail }: { detail: ProjectDetail }) {
  return (
    <div className="imgcls-project-lists">
      <Configs detail={detail} />
      <Sweeps detail={detail} />
    </div>
  );
}
