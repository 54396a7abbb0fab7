// Corrections of a data set that are not a revision yet. The browser keeps them for each data set until they are saved,
// so that a reload loses nothing; all views and windows of the browser see the same draft. It never writes to the server
// but by `save`.
import { useCallback, useMemo, useState, useSyncExternalStore } from 'react';
import { mutate } from './mutate';
import { SourceError, messageOf, useSource } from './source';
import { MAX_CHANGES, type ChangeEdit, type Dataset, type Revision } from './types';

/** A correction, and what it corrects. */
export interface DraftChange extends ChangeEdit {
  /** Path inside the data set. */
  name: string;
  /** Its class until now; null: it was excluded. */
  before: string | null;
  /** Its class from then on; null: it is excluded. */
  after: string | null;
}

/** What one act of a person changed: one image or a selection. */
interface Act {
  changes: DraftChange[];
  /** Ids of problems that are none, such as a label that is right. */
  dismissed?: string[];
}

interface Stored {
  /** The revision that the first act corrected. */
  parent: number;
  acts: Act[];
  /** Problems that stay dismissed after the draft is saved. */
  dismissed: string[];
}

/** Of which data set a draft is: `created_at` tells the data sets of different servers apart. */
export type DraftOf = Pick<Dataset, 'id' | 'created_at'>;

const NONE: Stored = { parent: 0, acts: [], dismissed: [] };
const PREFIX = 'imgcls-lab:draft:';
const keyOf = ({ id, created_at }: DraftOf): string => `${PREFIX}${id}:${created_at}`;

/** What a change is about: an image, or its files in one split. A revision holds one change of each. */
export const changeKey = (image: string, split?: string | null): string => `${image} ${split ?? ''}`;

/**
 * All changes of the acts: of each key the last one; one that changes nothing is none. Who excludes an image or restores
 * it everywhere means all splits; a label keeps what was excluded from one split, as on the server.
 */
export function changesOf(acts: readonly Act[]): ReadonlyMap<string, DraftChange> {
  const all = new Map<string, DraftChange>();
  for (const change of acts.flatMap(act => act.changes)) {
    const key = changeKey(change.image, change.split);
    const before = all.get(key)?.before ?? change.before;
    if (change.split == null && change.label == null)
      for (const [other, { image }] of all) if (image === change.image && other !== key) all.delete(other);
    all.delete(key);
    if (change.after !== before) all.set(key, { ...change, before });
  }
  return all;
}

/** The drafts of this browser. One object a page; `storage` may be full or denied, then the page alone keeps them. */
class Drafts {
  readonly #held = new Map<string, Stored>();
  readonly #listeners = new Set<() => void>();
  /** Whether the browser refused to keep the draft. */
  unkept = false;

  constructor() {
    globalThis.addEventListener?.('storage', event => {
      if (event.key !== null && !event.key.startsWith(PREFIX)) return;
      if (event.key === null) this.#held.clear();
      else this.#held.delete(event.key);
      this.#tell();
    });
  }

  readonly listen = (changed: () => void): (() => void) => {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  };

  read(key: string): Stored {
    let stored = this.#held.get(key);
    if (!stored) this.#held.set(key, (stored = this.#load(key)));
    return stored;
  }

  write(key: string, stored: Stored): void {
    this.#held.set(key, stored);
    try {
      if (stored.acts.length === 0 && stored.dismissed.length === 0) localStorage.removeItem(key);
      else localStorage.setItem(key, JSON.stringify(stored));
      this.unkept = false;
    } catch (error) {
      console.warn('The browser keeps no draft of corrections: save it before the page is closed.', error);
      this.unkept = true;
    }
    this.#tell();
  }

  #load(key: string): Stored {
    try {
      const text = localStorage.getItem(key);
      return text ? { ...NONE, ...(JSON.parse(text) as Partial<Stored>) } : NONE;
    } catch (error) {
      console.warn('A draft of corrections that the browser kept cannot be read.', error);
      return NONE;
    }
  }

  #tell(): void {
    for (const changed of this.#listeners) changed();
  }
}

const drafts = new Drafts();

export interface DraftRevision {
  /** By `changeKey`, the oldest first. */
  changes: ReadonlyMap<string, DraftChange>;
  /** The revision that is corrected. */
  parent: number;
  /** Problems that somebody called none. */
  dismissed: ReadonlySet<string>;
  /** The browser could not keep it: it is lost with the page. */
  unkept: boolean;
  canUndo: boolean;
  /** One act: changes of one or of many images, and problems that are none. */
  add: (changes: DraftChange[], dismissed?: string[]) => void;
  /** Take back the last act. */
  undo: () => void;
  /** Take the change of an image out of the draft. */
  remove: (image: string) => void;
  discard: () => void;
  busy: boolean;
  error: string | null;
  /** Somebody saved a newer revision meanwhile: the draft can be moved on top of it. */
  conflict: boolean;
  rebase: (newest: number) => void;
  /** Make it a revision. undefined: it was refused, and `error` says why. */
  save: (message?: string) => Promise<Revision | undefined>;
}

/** The draft of a data set whose newest revision is `newest`. `dataset` undefined: not known yet. */
export function useDraftRevision(dataset: DraftOf | undefined, newest: number): DraftRevision {
  const source = useSource();
  const key = dataset ? keyOf(dataset) : null;
  const id = dataset?.id;
  const stored = useSyncExternalStore(drafts.listen, () => (key ? drafts.read(key) : NONE));
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<{ message: string; conflict: boolean } | null>(null);
  const changes = useMemo(() => changesOf(stored.acts), [stored]);
  const dismissed = useMemo(
    () => new Set([...stored.dismissed, ...stored.acts.flatMap(act => act.dismissed ?? [])]),
    [stored],
  );
  const parent = stored.acts.length > 0 ? stored.parent : newest;
  const change = useCallback(
    (next: (was: Stored) => Stored) => {
      if (!key) return;
      setRefusal(null);
      drafts.write(key, next(drafts.read(key)));
    },
    [key],
  );
  const actions = useMemo(
    () => ({
      add: (changes: DraftChange[], dismissed: string[] = []) =>
        change(was => ({
          ...was,
          parent: was.acts.length > 0 ? was.parent : newest,
          acts: [...was.acts, dismissed.length > 0 ? { changes, dismissed } : { changes }],
        })),
      undo: () => change(was => ({ ...was, acts: was.acts.slice(0, -1) })),
      remove: (image: string) =>
        change(was => ({
          ...was,
          acts: was.acts
            .map(act => ({ ...act, changes: act.changes.filter(item => item.image !== image) }))
            .filter(act => act.changes.length > 0 || act.dismissed),
        })),
      discard: () => change(was => ({ ...was, acts: [] })),
      rebase: (parent: number) => change(was => ({ ...was, parent })),
    }),
    [change, newest],
  );
  const save = async (message = ''): Promise<Revision | undefined> => {
    if (!key || id === undefined) return undefined;
    const edits = [...changes.values()].map(
      ({ name: _name, before: _before, after: _after, ...edit }) => edit,
    );
    setBusy(true);
    setRefusal(null);
    try {
      let revision: Revision | undefined;
      for (let at = 0; at < edits.length; at += MAX_CHANGES) {
        const some = edits.slice(at, at + MAX_CHANGES) as [ChangeEdit, ...ChangeEdit[]];
        const edit = { changes: some, parent: revision?.number ?? parent, message };
        revision = await mutate(source, 'revisions.add', { id, edit });
        const left = [...changes.values()].slice(at + MAX_CHANGES);
        drafts.write(key, {
          parent: revision.number,
          acts: left.length > 0 ? [{ changes: left }] : [],
          dismissed: [...dismissed],
        });
      }
      return revision;
    } catch (error) {
      setRefusal({
        message: messageOf(error),
        conflict: error instanceof SourceError && error.status === 409,
      });
      return undefined;
    } finally {
      setBusy(false);
    }
  };
  return {
    changes,
    parent,
    dismissed,
    unkept: drafts.unkept,
    canUndo: stored.acts.length > 0,
    ...actions,
    busy,
    error: refusal?.message ?? null,
    conflict: refusal?.conflict ?? false,
    save,
  };
}
