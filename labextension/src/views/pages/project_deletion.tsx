// What the deletion of a project would take along, asked for and shown before anything is done.
import { mutate } from '../data/mutate';
import { runsStoreOf } from '../data/runs_store';
import { useSource } from '../data/source';
import type { Project } from '../data/types';
import { useAction, useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { bytes, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import '../ui/layout.css';

interface Props {
  project: Project;
  onDone: () => void;
  onCancel: () => void;
}

export function DeleteProject({ project, onDone, onCancel }: Props) {
  const source = useSource();
  const { data: found, error: unread } = useQuery('projectDeletion', { id: project.id });
  const { busy, error, act } = useAction();
  const remove = async () => {
    let stays = '';
    const sent = await act('delete', async () => {
      const done = await mutate(source, 'projects.deleteAll', { id: project.id });
      stays = done.deleted ? '' : (done.refused[0]?.message ?? 'Runs are left in it.');
      if (stays) throw new Error(stays);
    });
    runsStoreOf(source).refresh();
    if (sent) onDone();
  };
  const parts = found && [
    ...(found.runs > 0 ? [plural(found.runs, 'run')] : []),
    ...(found.configs > 0 ? [plural(found.configs, 'config')] : []),
  ];
  return (
    <div className="imgcls-card imgcls-stack" role="alertdialog" aria-label={`Delete ${project.name}`}>
      <Problem>{unread}</Problem>
      {!found && !unread && <p className="imgcls-muted">Looking at what is in it…</p>}
      {found && found.refused.length === 0 && (
        <p>
          Delete the project “{project.name}”
          {parts!.length > 0 ? ` with ${parts!.join(' and ')}, their checkpoints and logs` : ''}?{' '}
          {found.freed > 0 && `That frees at least ${bytes(found.freed)}. `}It cannot be undone.
        </p>
      )}
      {found && found.refused.length > 0 && (
        <div>
          <p>It cannot be deleted yet:</p>
          {found.refused.map(({ run, message }) => (
            <p key={run} className="imgcls-note">
              {message}
            </p>
          ))}
        </div>
      )}
      <Problem>{error}</Problem>
      <div className="imgcls-buttons">
        {found?.refused.length === 0 && (
          <Button danger busy={busy !== null} onClick={() => void remove()}>
            Delete
          </Button>
        )}
        <Button onClick={onCancel}>Cancel</Button>
      </div>
    </div>
  );
}
