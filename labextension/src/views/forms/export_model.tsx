// Writing a model for other programs: into a new folder of the allowed roots, checked on real images on the way.
import { useCallback, useState } from 'react';
import { useSource } from '../data/source';
import { isActive, type ExportRequest, type FolderPage } from '../data/types';
import { usePoll } from '../data/use_poll';
import { useAction, useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import { PathText } from '../ui/path_text';
import { ExportResult } from './export_result';
import { Labelled } from './fields';
import { FolderBrowser } from './folder_browser';
import { InlineForm } from './inline_form';
import '../ui/inputs.css';

export const FORMS: [value: NonNullable<ExportRequest['form']>, title: string][] = [
  ['hf', 'transformers: from_pretrained loads it'],
  ['onnx', 'ONNX'],
  ['torch-export', 'torch.export'],
];
const ODD = /[^\p{L}\p{N}._ -]+/gu; // what does not belong into the name of a folder

/** A model's name as that of a folder. */
export const folderName = (title: string): string =>
  title
    .replace('·', '-')
    .replace(ODD, '-')
    .replace(/^[.\s-]+/, '')
    .replace(/\s+/g, ' ')
    .trim();

interface Props {
  /** What is exported: a checkpoint of a run, or a registered model. */
  target: Pick<ExportRequest, 'run_id' | 'checkpoint' | 'model_id'>;
  title: string;
  /** Its run says on which images it is checked. */
  hasImages: boolean;
  onClose: () => void;
}

/** How far a queued export is, and what came of it. */
function Standing({ id, onClose }: { id: string; onClose: () => void }) {
  const source = useSource();
  const { busy, error, act } = useAction();
  const { data: run, reload } = useQuery('run', { id });
  const active = run === undefined || isActive(run.state);
  usePoll(reload, 700, active);
  if (active)
    return (
      <div className="imgcls-inline-form">
        <p role="status">
          {run?.state === 'running'
            ? `The export is ${run.phase ?? 'starting'}…`
            : 'The export waits for its turn…'}
        </p>
        <div className="imgcls-buttons">
          <Button busy={busy !== null} onClick={() => void act('stop', () => source.command('stop', { id }))}>
            Cancel
          </Button>
        </div>
        <Problem>{error}</Problem>
      </div>
    );
  return (
    <div className="imgcls-inline-form">
      <ExportResult run={run} />
      <div className="imgcls-buttons">
        <Button onClick={onClose}>Close</Button>
      </div>
    </div>
  );
}

export function ExportModel({ target, title, hasImages, onClose }: Props) {
  const source = useSource();
  const { data: datasets = [] } = useQuery('datasets', {});
  const [folder, setFolder] = useState<FolderPage | null>(null);
  const [name, setName] = useState(folderName(title));
  const [form, setForm] = useState(FORMS[0]![0]);
  const [dataset, setDataset] = useState('');
  const [id, setId] = useState<string | null>(null);
  const { busy, error, act } = useAction();
  const take = useCallback((page: FolderPage) => setFolder(page), []);
  if (id !== null) return <Standing id={id} onClose={onClose} />;
  const root = folder?.root ?? '';
  const usable = datasets.filter(item => !item.problem);
  const chosen = dataset || (hasImages ? '' : String(usable[0]?.id ?? ''));
  const submit = () =>
    act('export', async () => {
      const request = { ...target, form, folder: root, name: name.trim() };
      const run = await source.command('export', {
        ...request,
        ...(chosen && { dataset_id: Number(chosen) }),
      });
      setId(run.id);
    });
  return (
    <InlineForm
      label={`Export ${title}`}
      action="Export"
      acting="Asking…"
      busy={busy !== null}
      ready={root !== '' && name.trim() !== '' && (hasImages || chosen !== '')}
      error={error}
      onSubmit={() => void submit()}
      onCancel={onClose}
    >
      <p className="imgcls-note">
        A new folder with the model, its labels and how images are prepared. It appears only if it answers as
        the model does, on real images.
      </p>
      <Labelled title="Form">
        {control => (
          <select
            id={control}
            name="form"
            value={form}
            onChange={event => setForm(event.target.value as typeof form)}
          >
            {FORMS.map(([value, said]) => (
              <option key={value} value={value}>
                {said}
              </option>
            ))}
          </select>
        )}
      </Labelled>
      <Labelled title="Checked on">
        {control => (
          <select
            id={control}
            name="dataset"
            value={chosen}
            onChange={event => setDataset(event.target.value)}
          >
            {hasImages && <option value="">images that its run validated</option>}
            {!hasImages && usable.length === 0 && <option value="">register a data set first</option>}
            {usable.map(item => (
              <option key={item.id} value={item.id}>
                images of {item.name}
              </option>
            ))}
          </select>
        )}
      </Labelled>
      <FolderBrowser forModels onFolder={take} />
      <Labelled
        title="Name of the new folder"
        note={root ? <PathText path={`${root}/${name.trim()}`} /> : 'Choose a folder above.'}
      >
        {(control, described) => (
          <input
            id={control}
            name="folder-name"
            aria-describedby={described}
            value={name}
            onChange={event => setName(event.target.value)}
          />
        )}
      </Labelled>
    </InlineForm>
  );
}
