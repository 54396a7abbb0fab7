// Who may change a project's runs and configs, beside its owner: the list, and the way to add and remove one.
import { useState } from 'react';
import { mutate } from '../data/mutate';
import { useSource } from '../data/source';
import type { Project } from '../data/types';
import { useAction } from '../data/use_query';
import { Labelled } from '../forms/fields';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import '../forms/inline_form.css';

export function ProjectMembers({ project, onDone }: { project: Project; onDone: () => void }) {
  const source = useSource();
  const { busy, error, act } = useAction();
  const [user, setUser] = useState('');
  const name = user.trim();
  const add = async () => {
    if (name && (await act('add', () => mutate(source, 'projects.join', { id: project.id, user: name }))))
      setUser('');
  };
  return (
    <form
      className="imgcls-inline-form"
      aria-label={`Members of ${project.name}`}
      onSubmit={event => {
        event.preventDefault();
        void add();
      }}
    >
      <p className="imgcls-note">
        {project.owner} and these users change the runs and configs of “{project.name}”. Everybody sees them.
      </p>
      {project.members.map(member => (
        <div key={member} className="imgcls-buttons" data-member={member}>
          <span>{member}</span>
          <Button
            busy={busy === member}
            onClick={() =>
              void act(member, () => mutate(source, 'projects.leave', { id: project.id, user: member }))
            }
          >
            Remove
          </Button>
        </div>
      ))}
      <Labelled title="User" note="the name of the account, as the owner of runs shows it">
        {id => (
          <input id={id} name="user" value={user} maxLength={200} onChange={e => setUser(e.target.value)} />
        )}
      </Labelled>
      <Problem>{error}</Problem>
      <div className="imgcls-buttons">
        <Button type="submit" busy={busy === 'add'} disabled={!name}>
          Add
        </Button>
        <Button onClick={onDone}>Close</Button>
      </div>
    </form>
  );
}
