// The page of a project: what is in it, what went well, when it was worked on, who may change it.
import { useEffect, useState } from 'react';
import { useQuery } from '../data/use_query';
import { useOnChange, useRuns } from '../data/use_runs';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import { ProjectHead } from './project_head';
import { ProjectLists } from './project_lists';
import { ProjectOverview } from './project_overview';
import '../ui/layout.css';
import './project.css';

interface Props {
  id: number;
  onTitle?: (title: string) => void;
  /** Closes the page, where the host can. */
  onClose?: () => void;
}

export function ProjectPage({ id, onTitle, onClose }: Props) {
  const { data: detail, error, missing, reload } = useQuery('project', { id });
  const { runs } = useRuns();
  const [deleted, setDeleted] = useState(false);
  const marks = [...runs.values()]
    .filter(run => run.project_id === id)
    .map(run => `${run.id} ${run.state} ${run.best?.epoch}`);
  useOnChange(marks.join(), reload); // one of its runs began, ended or became better
  const name = detail?.project.name;
  useEffect(() => {
    if (name) onTitle?.(name);
  }, [name, onTitle]);
  if (missing || deleted)
    return (
      <div className="imgcls-empty">
        <p className="imgcls-muted">
          {name ? `The project “${name}”` : 'This project'} is not there any more: it was deleted.
        </p>
        {onClose && <Button onClick={onClose}>Close this tab</Button>}
      </div>
    );
  if (!detail)
    return error ? (
      <div className="imgcls-empty">
        <Problem>{error}</Problem>
        <Button onClick={reload}>Try again</Button>
      </div>
    ) : (
      <p className="imgcls-empty imgcls-muted">Reading the project…</p>
    );
  return (
    <article className="imgcls-project" data-project={detail.project.id}>
      <ProjectHead detail={detail} onDeleted={() => setDeleted(true)} />
      <ProjectOverview detail={detail} />
      <ProjectLists detail={detail} />
    </article>
  );
}
