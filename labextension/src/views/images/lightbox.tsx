// One image large, over the page: left and right or J and K lead to the neighbours, Z changes between the whole picture
// and its own pixels, Escape closes.
import { useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent, type ReactNode } from 'react';
import { picturesOf } from '../data/pictures';
import type { PictureOf, PictureRequest } from '../data/asked';
import { useSource } from '../data/source';
import { THUMBNAIL_SIZES } from '../data/types';
import type { Pages } from '../data/use_pages';
import { Button } from '../ui/button';
import { count } from '../ui/format';
import { Problem } from '../ui/messages';
import { usePicture } from './use_picture';
import './lightbox.css';
import './thumbnail.css';

const LARGEST = THUMBNAIL_SIZES.at(-1)!;
const FIT = 1024;

interface Props<T> {
  pages: Pages<T>;
  index: number;
  picture: (item: T) => PictureOf | null;
  nameOf: (item: T) => string;
  /** Why there is no picture. */
  problem?: (item: T) => string | null | undefined;
  /** Pixels of the image, upright, if they are known. */
  sizeOf?: (item: T) => { width: number; height: number };
  /** Beside the name: label, split, size ... */
  facts?: (item: T) => ReactNode;
  /** In the head, such as the choice of another class. */
  aside?: ReactNode;
  /** A key, before the box takes it; it takes none that was prevented. */
  onKey?: (event: KeyboardEvent, index: number) => void;
  onIndex: (index: number) => void;
  onClose: () => void;
}

/** The picture of the box. `whole`: fitted into it, else its own pixels. */
function Large({
  of,
  name,
  whole,
  problem,
  onTurn,
}: {
  of: PictureOf | null;
  name: string;
  whole: boolean;
  problem?: string | null;
  onTurn: () => void;
}) {
  const size = whole && globalThis.devicePixelRatio < 1.5 ? FIT : LARGEST;
  const { url, error } = usePicture(of && { ...of, size });
  const [tiny, setTiny] = useState(false);
  const sentence = problem ?? error;
  if (sentence) return <Problem>{sentence}</Problem>;
  if (!url) return <p className="imgcls-muted">Reading the picture…</p>;
  return (
    <img
      className={[whole && 'imgcls-lightbox-whole', tiny && 'imgcls-pixelated'].filter(Boolean).join(' ')}
      src={url}
      alt={name}
      onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) =>
        setTiny(Math.max(naturalWidth, naturalHeight) < 256)
      }
      onClick={onTurn}
    />
  );
}

/** Keep the neighbours' pictures at hand. */
function usePrefetch(requests: (PictureRequest | null)[]): void {
  const store = picturesOf(useSource());
  const key = JSON.stringify(requests);
  useEffect(() => {
    const wanted = (JSON.parse(key) as typeof requests).filter(request => request !== null);
    const ends = wanted.map(request => store.show(request, () => undefined));
    return () => ends.forEach(end => end());
  }, [store, key]);
}

export function Lightbox<T>(props: Props<T>) {
  const { pages, index, picture, nameOf, problem, sizeOf, facts, aside, onKey, onIndex, onClose } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const [whole, setWhole] = useState(true);
  useLayoutEffect(() => {
    const box = dialog.current!;
    const before = document.activeElement as HTMLElement | null;
    box.showModal();
    return () => {
      box.close();
      before?.focus({ preventScroll: true });
    };
  }, []);
  const { need, total = 0 } = pages;
  useEffect(() => need(Math.max(0, index - 1), Math.min(total, index + 2)), [need, index, total]);
  const item = pages.at(index);
  const of = item === undefined ? null : picture(item);
  usePrefetch(
    [index + 1, index - 1].map(other => {
      const neighbour = pages.at(other);
      const its = neighbour === undefined ? null : picture(neighbour);
      return its && { ...its, size: FIT };
    }),
  );
  const go = (by: number) => {
    const to = index + by;
    if (to >= 0 && to < total) onIndex(to);
  };
  const keyDown = (event: KeyboardEvent) => {
    onKey?.(event, index);
    event.stopPropagation(); // to the grid below it
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1 }[event.key];
    if (by !== undefined) go(by);
    else if (event.key === 'z') setWhole(!whole);
    else return;
    event.preventDefault();
  };
  const size = item === undefined ? undefined : sizeOf?.(item);
  const scaled = size && Math.max(size.width, size.height) > LARGEST;
  const name = item === undefined ? 'on the way' : nameOf(item);
  return (
    <dialog
      ref={dialog}
      className="imgcls-lightbox"
      aria-label={name}
      data-lm-suppress-shortcuts="true"
      onKeyDown={keyDown}
      onCancel={event => {
        event.preventDefault();
        onClose();
      }}
    >
      <header className="imgcls-lightbox-head">
        <b className="imgcls-clip">{name}</b>
        <span className="imgcls-muted imgcls-num imgcls-clip">{item !== undefined && facts?.(item)}</span>
        <span className="imgcls-spacer" />
        {aside}
        <span className="imgcls-muted imgcls-num" role="status">
          {count(index + 1)} of {count(total)}
        </span>
        <Button aria-pressed={!whole} onClick={() => setWhole(!whole)} title="Z">
          {whole ? (scaled ? `${LARGEST} px` : '100 %') : 'Fit'}
        </Button>
        <Button aria-label="Previous image" title="← or K" disabled={index === 0} onClick={() => go(-1)}>
          ‹
        </Button>
        <Button aria-label="Next image" title="→ or J" disabled={index + 1 >= total} onClick={() => go(1)}>
          ›
        </Button>
        <Button onClick={onClose} title="Escape">
          Close
        </Button>
      </header>
      <div className="imgcls-lightbox-body" tabIndex={whole ? undefined : 0}>
        {item !== undefined && (
          <Large
            key={JSON.stringify(of)}
            {...{ of, name, whole }}
            problem={problem?.(item)}
            onTurn={() => setWhole(!whole)}
          />
        )}
      </div>
    </dialog>
  );
}
