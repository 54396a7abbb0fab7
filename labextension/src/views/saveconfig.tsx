// Keeping a config under a name: a new one, or in place of one that has the name.
import { useState } from 'react';
import { Labelled } from './fields';
import { useAction } from './hooks';
import { useSource, type Config } from './source';
import { Button, Problem } from './states';
import type { ConfigView } from './types';

interface Props {
  config: Config;
  existing: ConfigView[];
  onDone: (name: string) => void;
  onCancel: () => void;
}

export function SaveConfig({ config, existing, onDone, onCancel }: Props) {
  const source = useSource();
  const [name, setName] = useState('');
  const { busy, error, act } = useAction();
  const same = existing.find(item => item.name === name.trim());
  const save = async () => {
    const title = name.trim();
    if (!title || busy) return;
    const saved = await act('save', () =>
      same
        ? source.command('configs.edit', {
            id: same.id,
            edit: { name: title, config, project_id: same.project_id, description: same.description },
          })
        : source.command('configs.add', { edit: { name: title, config } }),
    );
    if (saved) onDone(title);
  };
  return (
    <div className="imgcls-inline-form" role="group" aria-label="Save config">
      <Labelled
        title="Name of the config"
        note={same ? 'There is one of this name; saving replaces it.' : undefined}
      >
        {id => (
          <input
            id={id}
            name="config-name"
            value={name}
            maxLength={200}
            autoFocus
            onChange={e => setName(e.target.value)}
            onKeyDown={event => {
              if (event.key !== 'Enter') return;
              event.preventDefault(); // Enter in the form around it would launch
              void save();
            }}
          />
        )}
      </Labelled>
      <Problem>{error}</Problem>
      <div className="imgcls-buttons">
        <Button busy={busy !== null} disabled={name.trim() === ''} onClick={() => void save()}>
          {same ? 'Replace' : 'Save'}
        </Button>
        <Button onClick={onCancel}>Cancel</Button>
      </div>
    </div>
  );
}
