// The head of a project's page: its name and description, edited in place, and what can be done with it.
import { useState } from 'react';
import { mutate } from '../data/mutate';
import { useSource } from '../data/source';
import type { Project, ProjectDetail, ProjectEdit } from '../data/types';
import { useAction } from '../data/use_query';
import { quoted } from '../runs/query_text';
import { FIRST_VIEW } from '../runs/use_run_list';
import { Button } from '../ui/button';
import { bytes, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { EditableTitle } from './editable_title';
import { belongsTo } from './owner';
import { DeleteProject } from './project_deletion';
import { ProjectExport } from './project_export';
import '../ui/inputs.css';
import './run_head.css';
import './project_head.css';

export const DEFAULT_PROJECT = 'default'; // it keeps its name, and stays

/** Change some fields of a project. */
export const projectEdit = (project: Project, part: Partial<ProjectEdit>) => ({
  id: project.id,
  edit: {
    name: project.name,
    description: project.description,
    max_running: project.max_running,
    ...part,
  },
});

function Name({ project, onSave }: { project: Project; onSave: (name: string) => void }) {
  return (
    <div className="imgcls-head-title">
      <EditableTitle
        name={project.name}
        label="Name of the project"
        mayChange={project.may_change && project.name !== DEFAULT_PROJECT}
        onSave={onSave}
      />
    </div>
  );
}

function Description({ project, onSave }: { project: Project; onSave: (text: string) => void }) {
  const [editing, setEditing] = useState(false);
  if (editing)
    return (
      <textarea
        className="imgcls-project-words"
        aria-label="Description of the project"
        rows={3}
        defaultValue={project.description}
        maxLength={20_000}
        autoFocus
        onBlur={event => {
          setEditing(false);
          if (event.target.value.trim() !== project.description) onSave(event.target.value.trim());
        }}
        onKeyDown={event => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) event.currentTarget.blur();
          if (event.key === 'Escape') setEditing(false);
        }}
      />
    );
  if (!project.may_change)
    return project.description ? <p className="imgcls-project-words">{project.description}</p> : null;
  return (
    <button
      type="button"
      className="imgcls-project-words imgcls-project-say"
      title="Edit the description; Ctrl+Enter saves"
      onClick={() => setEditing(true)}
    >
      {project.description || <span className="imgcls-muted">Say what this project is about…</span>}
    </button>
  );
}

export function ProjectHead({ detail, onDeleted }: { detail: ProjectDetail; onDeleted: () => void }) {
  const source = useSource();
  const navigate = useNavigate();
  const { error, act } = useAction();
  const [open, setOpen] = useState<'delete' | 'export' | null>(null);
  const toggle = (what: typeof open) => setOpen(open === what ? null : what);
  const { project } = detail;
  const save = (part: Partial<ProjectEdit>) =>
    void act('edit', () => mutate(source, 'projects.edit', projectEdit(project, part)));
  return (
    <>
      <div className="imgcls-head">
        <div className="imgcls-head-line">
          <Name project={project} onSave={name => save({ name })} />
          <div className="imgcls-buttons">
            <Button
              primary
              disabled={!project.may_change}
              onClick={() => navigate({ view: 'new-run', project: project.id })}
            >
              New run in it…
            </Button>
            <Button
              onClick={() =>
                navigate({
                  view: 'runs',
                  list: { ...FIRST_VIEW, where: `project=${quoted(project.name)}` },
                })
              }
            >
              All its runs
            </Button>
            <Button onClick={() => navigate({ view: 'tensorboard', project_id: project.id })}>
              TensorBoard
            </Button>
            <Button aria-expanded={open === 'export'} onClick={() => toggle('export')}>
              Export…
            </Button>
            {project.may_manage && project.name !== DEFAULT_PROJECT && (
              <Button aria-expanded={open === 'delete'} onClick={() => toggle('delete')}>
                Delete…
              </Button>
            )}
          </div>
        </div>
        <div className="imgcls-chips">
          <span className="imgcls-chip">project</span>
          <span className="imgcls-chip">{plural(project.runs, 'run')}</span>
          {detail.archived > 0 && <span className="imgcls-chip">{detail.archived} of them archived</span>}
          {detail.size > 0 && (
            <span
              className="imgcls-chip"
              title={
                detail.uncounted > 0
                  ? `The folders of ${plural(detail.uncounted, 'run')} are not counted yet`
                  : ''
              }
            >
              {detail.uncounted > 0 && 'at least '}
              {bytes(detail.size)}
            </span>
          )}
          {project.owner && <span className="imgcls-chip">of {project.owner}</span>}
        </div>
        <Problem>{error}</Problem>
      </div>
      <div className="imgcls-project-notes">
        {!project.may_change && project.owner && <p className="imgcls-note">{belongsTo(project.owner)}</p>}
        <Description project={project} onSave={description => save({ description })} />
        {open === 'export' && <ProjectExport project={project} />}
        {open === 'delete' && (
          <DeleteProject project={project} onDone={onDeleted} onCancel={() => setOpen(null)} />
        )}
      </div>
    </>
  );
}
