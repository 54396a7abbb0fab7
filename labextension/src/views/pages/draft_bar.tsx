// The corrections of a data set that are not saved yet, at the foot of a page: what they are, and the one button that
// makes them a revision.
import { useState } from 'react';
import type { DraftRevision } from '../data/draft_revision';
import type { Dataset, Revision } from '../data/types';
import { Button } from '../ui/button';
import { ConfirmButton } from '../ui/confirm_button';
import { plural } from '../ui/format';
import { Key } from '../ui/keys';
import { Problem } from '../ui/messages';
import { ChangeList } from './change_list';
import { whatChanged } from './corrections';
import '../ui/inputs.css';
import './draft_bar.css';

interface Props {
  dataset: Pick<Dataset, 'id' | 'name'>;
  /** The newest revision that the server has. */
  newest: number;
  draft: DraftRevision;
  onSaved?: (revision: Revision) => void;
}

/** "3 relabelled, 1 excluded", as the revision will count them. */
export function summaryOf({ changes }: Pick<DraftRevision, 'changes'>): string {
  const all = [...changes.values()];
  const excluded = all.filter(change => change.after === null).length;
  const restored = all.filter(change => change.label == null && change.after !== null).length;
  return whatChanged({ relabelled: all.length - excluded - restored, excluded, restored });
}

export function DraftBar({ dataset, newest, draft, onSaved }: Props) {
  const [shown, setShown] = useState(false);
  const [message, setMessage] = useState('');
  const { changes, parent, busy, error, conflict } = draft;
  if (changes.size === 0 && !error) return null;
  const entries = [...changes.values()];
  const save = async () => {
    const revision = await draft.save(message.trim());
    if (!revision) return;
    setShown(false);
    setMessage('');
    onSaved?.(revision);
  };
  return (
    <section className="imgcls-draft" aria-label="Corrections that are not saved">
      {shown && (
        <ChangeList
          label="Corrections"
          datasetId={dataset.id}
          changes={entries.map(({ image, name, before, after, split, why }) => ({
            image,
            name,
            before,
            after,
            why: split ? `${why}, in ${split} alone` : why,
          }))}
          action={index => (
            <button
              type="button"
              className="imgcls-plain"
              aria-label={`Take ${entries[index]!.name} out of the corrections`}
              onClick={() => draft.remove(entries[index]!.image)}
            >
              take out
            </button>
          )}
        />
      )}
      <div className="imgcls-draft-row">
        {/* at the left: notifications come up at the right */}
        <Button primary busy={busy} disabled={changes.size === 0} onClick={() => void save()}>
          {busy ? 'Saving…' : `Save as revision ${newest + 1}`}
        </Button>
        <input
          aria-label="Why, in a few words"
          placeholder="why (optional)"
          maxLength={200}
          value={message}
          onChange={event => setMessage(event.target.value)}
        />
        <Button disabled={busy || !draft.canUndo} onClick={draft.undo}>
          Undo <Key>U</Key>
        </Button>
        <ConfirmButton
          label="Discard…"
          question={`Discard ${plural(changes.size, 'correction')}?`}
          disabled={busy}
          onConfirm={draft.discard}
        />
        <span role="status" className="imgcls-num">
          <b>{plural(changes.size, 'correction')}</b> of {dataset.name}, on{' '}
          {parent === 0 ? 'the folders as they are' : `revision ${parent}`}: {summaryOf(draft)}
        </span>
        <button type="button" className="imgcls-plain" aria-expanded={shown} onClick={() => setShown(!shown)}>
          {shown ? 'hide' : 'show'}
        </button>
      </div>
      <Problem>{error}</Problem>
      {conflict && newest > parent && (
        <div>
          <Button onClick={() => draft.rebase(newest)}>Put them on top of revision {newest}</Button>
        </div>
      )}
      {draft.unkept && (
        <p className="imgcls-note">
          This browser cannot keep so many corrections: save them before you close the page.
        </p>
      )}
    </section>
  );
}
