// Choose a folder below the allowed roots: click or Enter goes into a folder, Backspace out of it. It shows what a quick
// look says of the folder before one registers it.
import { useEffect, useRef, useState, type KeyboardEvent } from 'react';
import type { FolderEntry, FolderPage } from '../data/types';
import { useQuery } from '../data/use_query';
import { count, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import '../ui/button.css';
import './folder_browser.css';

interface Props {
  /** The folder that is shown, with what is said of it. */
  onFolder: (page: FolderPage) => void;
  /** Folders for models are chosen: among the roots is theirs, too. */
  forModels?: boolean;
}

const contentOf = ({ images, folders }: FolderEntry): string =>
  [
    folders != null && folders > 0 && plural(folders, 'folder'),
    images != null && images > 0 && plural(images, 'image'),
  ]
    .filter(Boolean)
    .join(' · ');

interface TrailProps {
  page: FolderPage;
  /** There are several roots to choose from. */
  roots: boolean;
  onOpen: (id: string) => void;
}

function Trail({ page, roots, onOpen }: TrailProps) {
  return (
    <nav className="imgcls-folder-trail" aria-label="Where the folder is">
      {roots && (
        <button type="button" className="imgcls-plain" onClick={() => onOpen('')}>
          all roots
        </button>
      )}
      {page.trail.map(({ id, name }, index) => (
        <span key={id}>
          {(roots || index > 0) && <span aria-hidden="true"> / </span>}
          <button
            type="button"
            className="imgcls-plain"
            aria-current={id === page.id || undefined}
            onClick={() => onOpen(id)}
          >
            {name}
          </button>
        </span>
      ))}
    </nav>
  );
}

export function FolderBrowser({ onFolder, forModels }: Props) {
  const [id, setId] = useState('');
  const { data: page, error, loading } = useQuery('folders', id ? { id } : forModels ? { of: 'models' } : {});
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const focusNext = useRef(false);
  const lone = useRef<string | null>(null); // the only root: one begins in it
  useEffect(() => {
    if (!page) return;
    setAt(0);
    if (!page.id && page.folders.length === 1) setId((lone.current = page.folders[0]!.id));
    else onFolder(page);
  }, [page, onFolder]);
  useEffect(() => {
    if (!focusNext.current) return;
    focusNext.current = false;
    const rows = list.current?.querySelectorAll<HTMLElement>('[role=option]');
    (rows?.[at] ?? list.current)?.focus();
  }, [at, page]);
  if (!page) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the folders…</p>;
  const go = (next: string) => {
    focusNext.current = true;
    setId(next);
  };
  const usable = page.root !== '' && !page.problem; // then its folders are its splits or classes
  const parent = page.trail.at(-2)?.id ?? lone.current ?? '';
  const keyDown = (event: KeyboardEvent) => {
    const last = page.folders.length - 1;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      focusNext.current = true;
      setAt(Math.min(Math.max(to, 0), last));
    } else if ((event.key === 'Enter' || event.key === 'ArrowRight') && page.folders[at])
      go(page.folders[at].id);
    else if ((event.key === 'Backspace' || event.key === 'ArrowLeft') && page.id) go(parent);
    else return;
    event.preventDefault();
    event.stopPropagation(); // Enter in the form around it registers
  };
  return (
    <div className="imgcls-folders" aria-busy={loading}>
      <Trail page={page} roots={lone.current === null} onOpen={go} />
      <ul
        role="listbox"
        aria-label={page.title || 'Folders'}
        ref={list}
        tabIndex={page.folders.length === 0 ? 0 : -1}
        onKeyDown={keyDown}
      >
        {page.folders.map((folder, index) => (
          <li
            key={folder.id}
            role="option"
            aria-selected={index === at}
            tabIndex={index === at ? 0 : -1}
            onClick={() => go(folder.id)}
            onFocus={() => setAt(index)}
          >
            <span className="imgcls-folder-icon" aria-hidden="true" />
            <span className="imgcls-clip imgcls-folder-name">{folder.name}</span>
            {forModels ? null : folder.registered ? (
              <span className="imgcls-looks imgcls-clip">registered as “{folder.registered.name}”</span>
            ) : (
              folder.usable && !usable && <span className="imgcls-looks">looks like a data set</span>
            )}
            <span className="imgcls-muted imgcls-num">{contentOf(folder)}</span>
          </li>
        ))}
        {page.folders.length === 0 && (
          <li className="imgcls-muted" role="option" aria-selected="false" aria-disabled="true">
            {page.id ? 'No folder in it.' : 'No root is allowed here.'}
          </li>
        )}
      </ul>
      {(page.more ?? 0) > 0 && (
        <p className="imgcls-muted">{count(page.more!)} more folders are not listed.</p>
      )}
      <Problem>{error}</Problem>
    </div>
  );
}
