// How a project leaves as one file: the server writes it, and the browser downloads it.
import { useState } from 'react';
import { useSource } from '../data/source';
import type { Project, ProjectArchiveRequest } from '../data/types';
import { isUnderway, useJob } from '../data/use_job';
import { Labelled } from '../forms/fields';
import { Button } from '../ui/button';
import { bytes, plural } from '../ui/format';
import { CommandSentence } from './command_sentence';
import { JobProgress } from './job_progress';
import { Sentences } from './sentences';
import '../ui/inputs.css';
import '../ui/layout.css';
import './project_files.css';

type Kept = NonNullable<ProjectArchiveRequest['checkpoints']>;

const KEPT: [Kept, string][] = [
  ['best', 'the best of each run'],
  ['all', 'all'],
  ['none', 'none'],
];

/** The last part of a path. */
const fileOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

export function ProjectExport({ project }: { project: Project }) {
  const source = useSource();
  const [kept, setKept] = useState<Kept>('best');
  const watched = useJob({ kind: 'export', subject: project.name }, ['archives', 'storage']);
  const done = watched.job?.exported;
  return (
    <div className="imgcls-card imgcls-stack" role="group" aria-label={`Export ${project.name}`}>
      <p className="imgcls-note">
        One file with the folders of the runs that have ended, the configs with all versions, and your views
        of them. Another installation imports it on its page of projects.
      </p>
      <div className="imgcls-project-file">
        <Labelled title="Checkpoints">
          {id => (
            <select
              id={id}
              value={kept}
              disabled={isUnderway(watched.job)}
              onChange={event => setKept(event.target.value as Kept)}
            >
              {KEPT.map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          )}
        </Labelled>
        <Button
          primary
          disabled={isUnderway(watched.job)}
          onClick={() => void watched.start('projects.export', { id: project.id, checkpoints: kept })}
        >
          Write the file
        </Button>
      </div>
      <JobProgress watched={watched} doing="Writing the file" />
      {done && (
        <div role="status" className="imgcls-stack">
          <p>
            {plural(done.runs, 'run')}, {plural(done.configs, 'config')} and {plural(done.views, 'view')} in{' '}
            {bytes(done.size)}:{' '}
            {source.archiveAddress && (
              <a className="imgcls-plain" href={source.archiveAddress(fileOf(done.path))} download>
                Download {fileOf(done.path)}
              </a>
            )}
          </p>
          <Sentences of={done.left_out} />
        </div>
      )}
      <details>
        <summary>In the shell</summary>
        <CommandSentence words={['imgcls-lab', 'projects', 'export', project.name, `${project.name}.tar`]}>
          This command writes the same file where you want it.
        </CommandSentence>
      </details>
    </div>
  );
}
