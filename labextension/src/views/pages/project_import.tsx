// How a project comes in from a file: one of this computer, one on the server, or one that was exported here.
import { useRef, useState } from 'react';
import { runsStoreOf } from '../data/runs_store';
import { messageOf, useSource } from '../data/source';
import type { Archive, Project, ProjectImport as Imported } from '../data/types';
import { isUnderway, useJob } from '../data/use_job';
import { mutate } from '../data/mutate';
import { useAction, useQuery } from '../data/use_query';
import { Labelled } from '../forms/fields';
import { Button } from '../ui/button';
import { ConfirmButton } from '../ui/confirm_button';
import { ago, bytes, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { CommandSentence } from './command_sentence';
import { Advance, JobProgress } from './job_progress';
import { Sentences } from './sentences';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/table.css';
import './project_files.css';

function Result({ done }: { done: Imported }) {
  const navigate = useNavigate();
  return (
    <div role="status" className="imgcls-stack">
      <p>
        {plural(done.runs.length, 'run')} and {plural(done.configs.length, 'config')} came into{' '}
        <button
          type="button"
          className="imgcls-plain"
          onClick={() => navigate({ view: 'project', id: done.project_id })}
        >
          {done.project}
        </button>
        .{' '}
        {done.runs.length > 0 && 'The runs are view only until you claim them: nothing of them is executed.'}
      </p>
      <Sentences of={[...done.skipped, ...done.renamed]} />
    </div>
  );
}

/** The files that are on the server: each is downloaded, imported or deleted. */
function Files({ busy, onImport }: { busy: boolean; onImport: (file: Archive) => void }) {
  const source = useSource();
  const { data: files } = useQuery('archives', {});
  const { error, act } = useAction();
  if (!files || files.length === 0) return null;
  return (
    <div className="imgcls-scroll">
      <table className="imgcls-table" aria-label="Files of projects on the server">
        <thead>
          <tr>
            <th>file on the server</th>
            <th>size</th>
            <th>made</th>
            <th aria-label="Actions" />
          </tr>
        </thead>
        <tbody>
          {files.map(file => (
            <tr key={file.name}>
              <td className="imgcls-mono">
                {source.archiveAddress ? (
                  <a className="imgcls-plain" href={source.archiveAddress(file.name)} download>
                    {file.name}
                  </a>
                ) : (
                  file.name
                )}
              </td>
              <td className="imgcls-nowrap">{bytes(file.size)}</td>
              <td className="imgcls-nowrap">{ago(file.made_at)}</td>
              <td className="imgcls-nowrap">
                <div className="imgcls-buttons">
                  <Button disabled={busy} onClick={() => onImport(file)}>
                    Import
                  </Button>
                  <ConfirmButton
                    label="Delete…"
                    question={`Delete ${file.name}? It cannot be undone.`}
                    onConfirm={() =>
                      void act('delete', () => mutate(source, 'archives.delete', { id: file.name }))
                    }
                  />
                </div>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Problem>{error}</Problem>
    </div>
  );
}

type Target = { name?: string; into?: string };

/** Where it goes: a new project, or one that is there. */
function TargetFields({ projects, onChange }: { projects: Project[]; onChange: (target: Target) => void }) {
  const [into, setInto] = useState('');
  return (
    <>
      <Labelled title="Into">
        {id => (
          <select
            id={id}
            value={into}
            onChange={event => {
              setInto(event.target.value);
              onChange(event.target.value ? { into: event.target.value } : {});
            }}
          >
            <option value="">a new project</option>
            {projects
              .filter(project => project.may_change)
              .map(project => (
                <option key={project.id} value={project.name}>
                  {project.name}
                </option>
              ))}
          </select>
        )}
      </Labelled>
      {into === '' && (
        <Labelled title="Its name">
          {id => (
            <input
              id={id}
              type="text"
              maxLength={200}
              placeholder="as in the file"
              onChange={event =>
                onChange(event.target.value.trim() ? { name: event.target.value.trim() } : {})
              }
            />
          )}
        </Labelled>
      )}
    </>
  );
}

export function ProjectImport({ projects }: { projects: Project[] }) {
  const source = useSource();
  const [target, setTarget] = useState<Target>({});
  const [path, setPath] = useState('');
  const [sending, setSending] = useState<{ file: File; stop: AbortController } | null>(null);
  const [sent, setSent] = useState(0);
  const [error, setError] = useState<string | null>(null);
  const chosen = useRef<HTMLInputElement>(null);
  const watched = useJob({ kind: 'import' }, ['projects', 'configs', 'archives', 'views', 'runColumns'], () =>
    runsStoreOf(source).refresh(),
  );
  const busy = sending !== null || isUnderway(watched.job);
  const read = (from: { archive: string } | { path: string }) =>
    void watched.start('archives.import', { ...from, ...target });
  const send = async (file: File) => {
    const stop = new AbortController();
    setError(null);
    setSending({ file, stop });
    setSent(0);
    try {
      const kept = await source.command('archives.upload', { name: file.name, file }, stop.signal, setSent);
      read({ archive: kept.name });
    } catch (problem) {
      setError(stop.signal.aborted ? null : messageOf(problem));
    } finally {
      setSending(null);
    }
  };
  return (
    <div className="imgcls-card imgcls-stack" role="group" aria-label="Import a project">
      <p className="imgcls-note">
        From a file that was exported here or elsewhere, whole or not at all. It is checked before anything is
        changed, and nothing in it is executed.
      </p>
      <div className="imgcls-project-file">
        <TargetFields projects={projects} onChange={setTarget} />
        <input
          ref={chosen}
          type="file"
          accept=".tar"
          hidden
          aria-label="File of a project"
          onChange={event => {
            const file = event.target.files?.[0];
            event.target.value = ''; // the same file may be chosen again
            if (file) void send(file);
          }}
        />
        <Button primary disabled={busy} onClick={() => chosen.current?.click()}>
          Choose a file…
        </Button>
      </div>
      <form
        className="imgcls-project-file"
        onSubmit={event => {
          event.preventDefault();
          if (path.trim()) read({ path: path.trim() });
        }}
      >
        <Labelled title="Or its path on the server">
          {id => (
            <input
              id={id}
              className="imgcls-project-path"
              type="text"
              value={path}
              placeholder="/data/pets.imgcls.tar"
              onChange={event => setPath(event.target.value)}
            />
          )}
        </Labelled>
        <Button type="submit" disabled={busy || !path.trim()}>
          Import
        </Button>
      </form>
      {sending && (
        <Advance
          doing={`Sending ${sending.file.name}`}
          done={sent}
          total={sending.file.size}
          onCancel={() => sending.stop.abort()}
        />
      )}
      <Problem>{error}</Problem>
      <JobProgress watched={watched} doing="Reading the file" />
      {watched.job?.imported && <Result done={watched.job.imported} />}
      <Files busy={busy} onImport={file => read({ archive: file.name })} />
      <details>
        <summary>In the shell</summary>
        <CommandSentence words={['imgcls-lab', 'projects', 'import', 'FILE']}>
          This command does the same.
        </CommandSentence>
      </details>
    </div>
  );
}
