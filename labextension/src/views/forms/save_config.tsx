// Keeping a config under a name: a new one, or a new version of one that has the name.
import { useState } from 'react';
import { Labelled } from './fields';
import { useAction } from '../data/use_query';
import { InlineForm } from './inline_form';
import { mutate } from '../data/mutate';
import type { TrainConfig } from '../data/asked';
import { useSource } from '../data/source';
import type { Config } from '../data/types';
import '../ui/inputs.css';

interface Props {
  config: TrainConfig;
  /** Where a new one goes; null: the default project. */
  project: number | null;
  existing: Config[];
  onDone: (name: string) => void;
  onCancel: () => void;
}

export function SaveConfig({ config, project, existing, onDone, onCancel }: Props) {
  const source = useSource();
  const [name, setName] = useState('');
  const { busy, error, act } = useAction();
  const same = existing.find(item => item.name === name.trim());
  const save = async () => {
    const title = name.trim();
    const saved = await act('save', () =>
      same
        ? mutate(source, 'configs.edit', {
            id: same.id,
            edit: { name: title, config, project_id: same.project_id, description: same.description },
          })
        : mutate(source, 'configs.add', { edit: { name: title, config, project_id: project } }),
    );
    if (saved) onDone(title);
  };
  return (
    <InlineForm
      label="Save config"
      action={same ? `Save as version ${same.version + 1}` : 'Save'}
      busy={busy !== null}
      ready={name.trim() !== ''}
      error={error}
      onSubmit={() => void save()}
      onCancel={onCancel}
    >
      <Labelled
        title="Name of the config"
        note={
          same
            ? `There is one of this name; this becomes its version ${same.version + 1}, older ones stay.`
            : undefined
        }
      >
        {id => (
          <input
            id={id}
            name="config-name"
            value={name}
            maxLength={200}
            autoFocus
            onChange={e => setName(e.target.value)}
          />
        )}
      </Labelled>
    </InlineForm>
  );
}
