// Registering a folder of images, inline: in the new-run form and in the library.
import { useState } from 'react';
import { Labelled } from './fields';
import { plural, leaf } from '../ui/format';
import { useAction } from '../data/use_query';
import { InlineForm } from './inline_form';
import { mutate } from '../data/mutate';
import { useSource } from '../data/source';
import type { Dataset } from '../data/types';
import '../ui/inputs.css';

/** "digits · 1,797 images, 10 classes" */
export function datasetText(dataset: Dataset): string {
  const images = Object.values(dataset.images).reduce((sum, n) => sum + n, 0);
  return `${dataset.name} · ${plural(images, 'image')}, ${plural(dataset.classes.length, 'class', 'classes')}`;
}

interface Props {
  datasetsDir: string | undefined;
  onDone: (dataset: Dataset) => void;
  onCancel: () => void;
}

export function RegisterFolder({ datasetsDir, onDone, onCancel }: Props) {
  const source = useSource();
  const [root, setRoot] = useState('');
  const [name, setName] = useState('');
  const { busy, error, act } = useAction();
  const shown = name || leaf(root.trim());
  const submit = async () => {
    let dataset: Dataset | undefined;
    const folder = root.trim();
    // A name alone means a folder beside the other data sets.
    const full =
      datasetsDir && !/^(\/|~|[A-Za-z]:)/.test(folder)
        ? `${datasetsDir.replace(/\/$/, '')}/${folder}`
        : folder;
    const done = await act('add', async () => {
      dataset = await mutate(source, 'datasets.add', { edit: { name: shown, root: full } });
    });
    if (done && dataset) onDone(dataset);
  };
  return (
    <InlineForm
      label="Register a folder"
      action="Register"
      acting="Looking at the folder…"
      busy={busy !== null}
      ready={root.trim() !== ''}
      error={error}
      onSubmit={() => void submit()}
      onCancel={onCancel}
    >
      <Labelled
        title="Folder"
        note={`With train/CLASS and, if you have it, val/CLASS; or with the classes alone${datasetsDir ? `; under ${datasetsDir}` : ''}.`}
      >
        {id => (
          <input
            id={id}
            name="folder"
            value={root}
            onChange={e => setRoot(e.target.value)}
            placeholder={datasetsDir ? `${datasetsDir}/my-images` : '/path/to/images'}
            spellCheck={false}
            autoFocus
          />
        )}
      </Labelled>
      <Labelled title="Name">
        {id => (
          <input
            id={id}
            name="dataset-name"
            value={name}
            onChange={e => setName(e.target.value)}
            placeholder={shown || 'my images'}
          />
        )}
      </Labelled>
    </InlineForm>
  );
}
