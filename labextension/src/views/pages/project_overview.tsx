// What a project came to: its runs by state, the best of them, when it was worked on, and who and how many may work.
import { useState } from 'react';
import { mutate } from '../data/mutate';
import { useSource } from '../data/source';
import { RUN_STATES, type Project, type ProjectDetail } from '../data/types';
import { useAction } from '../data/use_query';
import { Labelled } from '../forms/fields';
import { quoted } from '../runs/query_text';
import { FIRST_VIEW } from '../runs/use_run_list';
import { Button } from '../ui/button';
import { ago, count, metric, metricTitle, modelOf } from '../ui/format';
import { Problem } from '../ui/messages';
import { NameLink } from '../ui/name_link';
import { useNavigate } from '../ui/navigation';
import { State } from '../ui/run_state';
import { ActivityPlot } from './activity_plot';
import { projectEdit } from './project_head';
import { ProjectMembers } from './project_members';
import '../forms/inline_form.css';
import '../ui/layout.css';
import '../ui/table.css';
import './project_overview.css';

function States({ detail }: { detail: ProjectDetail }) {
  const navigate = useNavigate();
  const there = RUN_STATES.filter(state => detail.states[state]);
  const show = (state: string) =>
    navigate({
      view: 'runs',
      list: { ...FIRST_VIEW, where: `project=${quoted(detail.project.name)} state=${state}` },
    });
  return (
    <section className="imgcls-card">
      <h3>Runs by state</h3>
      {there.length === 0 && <p className="imgcls-muted">No run yet.</p>}
      <ul className="imgcls-project-states">
        {there.map(state => (
          <li key={state}>
            <button type="button" title={`Show the runs that are ${state}`} onClick={() => show(state)}>
              <State state={state} />
              <b className="imgcls-num">{count(detail.states[state]!)}</b>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Best({ detail }: { detail: ProjectDetail }) {
  const { best, metric: name } = detail;
  return (
    <section className="imgcls-card imgcls-project-best">
      <h3>
        Best runs {name && <span className="imgcls-muted">by {metricTitle(name)}, on validation images</span>}
      </h3>
      {best.length === 0 ? (
        <p className="imgcls-muted">The best runs stand here after their first validation.</p>
      ) : (
        <div className="imgcls-scroll">
          <table className="imgcls-table">
            <thead>
              <tr>
                <th>run</th>
                <th>{metricTitle(name!)}</th>
                <th>epoch</th>
                <th className="imgcls-left">model</th>
                <th>ended</th>
              </tr>
            </thead>
            <tbody>
              {best.map(run => (
                <tr key={run.id} data-run={run.id}>
                  <td className="imgcls-clip">
                    <NameLink name={run.name} title={run.name} to={{ view: 'run', id: run.id }} />
                  </td>
                  <td>{metric(name!, run.best?.value)}</td>
                  <td>{run.best?.epoch}</td>
                  <td className="imgcls-left imgcls-clip" title={run.model_flavour}>
                    {modelOf(run)}
                  </td>
                  <td className="imgcls-nowrap">{run.ended_at == null ? run.state : ago(run.ended_at)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

/** How many of its runs are on devices at once. */
function Limit({ project }: { project: Project }) {
  const source = useSource();
  const { busy, error, act } = useAction();
  const [text, setText] = useState<string | null>(null);
  const most = project.max_running;
  const sentence =
    most == null
      ? 'As many of its runs as there are devices run at once.'
      : most === 0
        ? 'On hold: none of its runs is started.'
        : `At most ${count(most)} of its runs ${most === 1 ? 'is' : 'are'} on devices at once.`;
  if (text === null)
    return (
      <p className="imgcls-note">
        {sentence}{' '}
        {project.may_change && (
          <button
            type="button"
            className="imgcls-plain"
            onClick={() => setText(most == null ? '' : String(most))}
          >
            Change…
          </button>
        )}
      </p>
    );
  const save = async () => {
    const edit = projectEdit(project, { max_running: text.trim() === '' ? null : Number(text) });
    if (await act('limit', () => mutate(source, 'projects.edit', edit))) setText(null);
  };
  return (
    <form
      className="imgcls-inline-form"
      aria-label="Runs at once"
      onSubmit={event => {
        event.preventDefault();
        void save();
      }}
    >
      <Labelled title="Runs at once" note="empty: no limit; 0: on hold">
        {id => (
          <input
            id={id}
            type="number"
            min={0}
            max={10_000}
            step={1}
            value={text}
            autoFocus
            onChange={event => setText(event.target.value)}
          />
        )}
      </Labelled>
      <Problem>{error}</Problem>
      <div className="imgcls-buttons">
        <Button type="submit" busy={busy !== null}>
          Save
        </Button>
        <Button onClick={() => setText(null)}>Cancel</Button>
      </div>
    </form>
  );
}

function People({ project }: { project: Project }) {
  const [open, setOpen] = useState(false);
  if (open) return <ProjectMembers project={project} onDone={() => setOpen(false)} />;
  if (!project.owner)
    return <p className="imgcls-note">It belongs to nobody, so that everybody may change it.</p>;
  return (
    <>
      <dl className="imgcls-project-people">
        {[project.owner, ...project.members].map((user, index) => (
          <div key={user}>
            <dt>{user}</dt>
            <dd className="imgcls-muted">
              {index === 0 ? 'owner: deletes it, names its members' : 'member: changes its runs and configs'}
            </dd>
          </div>
        ))}
      </dl>
      {project.may_manage && (
        <button type="button" className="imgcls-plain" onClick={() => setOpen(true)}>
          Members…
        </button>
      )}
    </>
  );
}

export function ProjectOverview({ detail }: { detail: ProjectDetail }) {
  return (
    <div className="imgcls-project-overview">
      <h2 className="imgcls-sr">What it came to</h2>
      <States detail={detail} />
      <Best detail={detail} />
      <section className="imgcls-card">
        <h3>Who and how many</h3>
        <Limit project={detail.project} />
        <People project={detail.project} />
      </section>
      <ActivityPlot days={detail.activity} />
    </div>
  );
}
