// Adding a model to the registry: one of those from the hub that are on this machine, a folder, or a hub id.
import { useCallback, useState } from 'react';
import { mutate } from '../data/mutate';
import { useSource } from '../data/source';
import type { CachedModel, FolderPage } from '../data/types';
import { useAction, useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { bytes, leaf } from '../ui/format';
import { Problem } from '../ui/messages';
import { placeText, sizesText } from '../ui/model_facts';
import { PathText } from '../ui/path_text';
import { Labelled } from './fields';
import { FolderBrowser } from './folder_browser';
import { InlineForm } from './inline_form';
import '../ui/inputs.css';
import '../ui/button.css';
import './add_model.css';

interface CachedProps {
  models: CachedModel[];
  chosen: string;
  onChoose: (flavour: string) => void;
}

/** What lies in the hub's cache, each with its size. */
function Cached({ models, chosen, onChoose }: CachedProps) {
  return (
    <ul className="imgcls-cached" aria-label="Models from the hub that are on this machine">
      {models.map(({ flavour, facts, registered }) => (
        <li key={flavour}>
          <button
            type="button"
            className="imgcls-plain"
            aria-pressed={chosen === flavour}
            onClick={() => onChoose(flavour)}
          >
            <PathText path={flavour} />
          </button>
          <span className="imgcls-muted">{sizesText(facts)}</span>
          <span className="imgcls-muted imgcls-num">
            {registered ? `registered as “${registered}”` : bytes(facts.size)}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** What is known of a model before it is added. */
function noteOf(flavour: string, cached: CachedModel[] | undefined): string {
  const found = cached?.find(item => item.flavour === flavour);
  if (found) return placeText(found.facts);
  if (!flavour) return 'a hub id, or the folder of a model';
  if (/^[/~.]/.test(flavour)) return 'a folder of the machine on which the server runs';
  return cached ? placeText({ place: 'hub' }) : 'looking at what is on this machine…';
}

export function AddModel({ onDone, onCancel }: { onDone: () => void; onCancel: () => void }) {
  const source = useSource();
  const { data: cached, error: unread } = useQuery('cachedModels', {});
  const [flavour, setFlavour] = useState('');
  const [name, setName] = useState('');
  const [revision, setRevision] = useState('');
  const [pretrained, setPretrained] = useState(true);
  const [browsing, setBrowsing] = useState(false);
  const { busy, error, act } = useAction();
  const take = useCallback(({ root }: FolderPage) => setFlavour(root), []);
  const shown = name || leaf(flavour.trim());
  const submit = async () => {
    const edit = {
      name: shown,
      flavour: flavour.trim(),
      revision: revision.trim() || null,
      load_pretrained: pretrained,
    };
    if (await act('add', () => mutate(source, 'models.add', { edit }))) onDone();
  };
  return (
    <InlineForm
      label="Add a model"
      action="Add"
      acting="Looking at its files…"
      busy={busy !== null}
      ready={flavour.trim() !== ''}
      error={error}
      onSubmit={() => void submit()}
      onCancel={onCancel}
    >
      <Labelled title="Model" note={noteOf(flavour.trim(), cached)}>
        {(id, described) => (
          <input
            id={id}
            name="flavour"
            aria-describedby={described}
            autoFocus
            spellCheck={false}
            value={flavour}
            onChange={event => setFlavour(event.target.value)}
            placeholder="microsoft/resnet-50"
          />
        )}
      </Labelled>
      <Problem>{unread}</Problem>
      {cached && cached.length > 0 && <Cached models={cached} chosen={flavour} onChoose={setFlavour} />}
      {cached?.length === 0 && (
        <p className="imgcls-note">No model from the hub is on this machine yet; a run fetches it.</p>
      )}
      {browsing ? (
        <FolderBrowser forModels onFolder={take} />
      ) : (
        <div>
          <Button onClick={() => setBrowsing(true)}>Choose a folder…</Button>
        </div>
      )}
      <Labelled title="Name">
        {id => (
          <input
            id={id}
            name="name"
            value={name}
            placeholder={shown}
            onChange={event => setName(event.target.value)}
          />
        )}
      </Labelled>
      <Labelled title="Revision" note="branch, tag or commit of a hub model; empty: its main branch">
        {id => (
          <input
            id={id}
            name="revision"
            spellCheck={false}
            value={revision}
            onChange={event => setRevision(event.target.value)}
          />
        )}
      </Labelled>
      <label className="imgcls-switch">
        <input
          type="checkbox"
          name="load_pretrained"
          checked={pretrained}
          onChange={event => setPretrained(event.target.checked)}
        />
        Start from its pretrained weights
      </label>
    </InlineForm>
  );
}
