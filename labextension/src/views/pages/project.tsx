// The page of a project: what is in it, what went well, when it was worked on, who may change it.
import { useState } from 'react';
import { useQuery } from '../data/use_query';
import { useOnChange, useRuns } from '../data/use_runs';
import { Gone, Unread, useTitle, type PageProps } from '../ui/page_frame';
import { ProjectHead } from './project_head';
import { ProjectLists } from './project_lists';
import { ProjectOverview } from './project_overview';
import './project.css';

export function ProjectPage({ id, onTitle, onClose }: PageProps & { id: number }) {
  const { data: detail, error, missing, reload } = useQuery('project', { id });
  const { runs, deleted: gone } = useRuns();
  const [deleted, setDeleted] = useState(false);
  const marks = [...runs.values()]
    .filter(run => run.project_id === id)
    .map(run => `${run.id} ${run.state} ${run.best?.epoch}`);
  useOnChange([...marks, ...gone].join(), reload); // one of its runs began, ended, became better or was deleted
  const name = detail?.project.name;
  useTitle(name, onTitle);
  if (missing || deleted)
    return (
      <Gone onClose={onClose}>
        {name ? `The project “${name}”` : 'This project'} is not there any more: it was deleted.
      </Gone>
    );
  if (!detail) return <Unread {...{ error, reload }} pending="Reading the project…" />;
  return (
    <article className="imgcls-project" data-project={detail.project.id}>
      <ProjectHead detail={detail} onDeleted={() => setDeleted(true)} />
      <ProjectOverview detail={detail} />
      <ProjectLists detail={detail} />
    </article>
  );
}
