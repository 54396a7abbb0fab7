// Registering a folder of images, inline: in the new-run form and in the registries. The folder is chosen, not typed.
import { useCallback, useState } from 'react';
import { Labelled } from './fields';
import { plural } from '../ui/format';
import { useAction } from '../data/use_query';
import { FolderBrowser } from './folder_browser';
import { InlineForm } from './inline_form';
import { mutate } from '../data/mutate';
import { useSource } from '../data/source';
import { useNavigate } from '../ui/navigation';
import type { Dataset, FolderPage } from '../data/types';
import '../ui/button.css';
import '../ui/inputs.css';
import '../ui/messages.css';

/** "digits · 1,797 images, 10 classes" */
export function datasetText(dataset: Dataset): string {
  const images = Object.values(dataset.images).reduce((sum, n) => sum + n, 0);
  return `${dataset.name} · ${plural(images, 'image')}, ${plural(dataset.classes.length, 'class', 'classes')}`;
}

/** What a quick look says of the folder. */
function Inspection({ folder }: { folder: FolderPage }) {
  const navigate = useNavigate();
  const { registered } = folder;
  return (
    <div role="status" aria-label="What is in the folder">
      {registered ? (
        <p className="imgcls-note">
          “{folder.title}” is registered already, as{' '}
          <button
            type="button"
            className="imgcls-plain"
            onClick={() => navigate({ view: 'dataset', id: registered.id })}
          >
            {registered.name}
          </button>
          .
        </p>
      ) : folder.problem && folder.folders.some(item => item.usable) ? (
        <p className="imgcls-note">Open one of the folders that look like a data set.</p>
      ) : folder.problem ? (
        <p className="imgcls-note">{folder.problem}</p>
      ) : (
        <p className="imgcls-note">“{folder.title}” can be registered.</p>
      )}
      {folder.notes?.map(note => (
        <p key={note} className="imgcls-note">
          {note}
        </p>
      ))}
    </div>
  );
}

interface Props {
  onDone: (dataset: Dataset) => void;
  onCancel: () => void;
}

export function RegisterFolder({ onDone, onCancel }: Props) {
  const source = useSource();
  const [folder, setFolder] = useState<FolderPage | null>(null);
  const [name, setName] = useState('');
  const { busy, error, act } = useAction();
  const root = folder?.root ?? '';
  const shown = name || (root ? (folder?.title ?? '') : '');
  const take = useCallback((page: FolderPage) => setFolder(page), []);
  const submit = async () => {
    let dataset: Dataset | undefined;
    const done = await act('add', async () => {
      dataset = await mutate(source, 'datasets.add', { edit: { name: shown, root } });
    });
    if (done && dataset) onDone(dataset);
  };
  return (
    <InlineForm
      label="Register a folder"
      action="Register"
      acting="Looking at the folder…"
      busy={busy !== null}
      ready={root !== '' && !folder?.problem && !folder?.registered}
      error={error}
      onSubmit={() => void submit()}
      onCancel={onCancel}
    >
      <p className="imgcls-note">
        Choose a folder with train/CLASS and, if you have it, val/CLASS; or with the classes alone.
      </p>
      <FolderBrowser onFolder={take} />
      {folder && root && <Inspection folder={folder} />}
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
