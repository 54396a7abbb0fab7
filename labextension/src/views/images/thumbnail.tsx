// A small picture in a box of fixed size: a plain box until it is there, its sentence where it cannot be shown.
import { useState } from 'react';
import type { PictureOf } from '../data/asked';
import { THUMBNAIL_SIZES } from '../data/types';
import { usePicture } from './use_picture';
import './thumbnail.css';

interface Props {
  /** null: there is no picture, and `problem` says why. */
  of: PictureOf | null;
  /** What it shows, for those who do not see it; empty where a text beside it says so. */
  alt: string;
  /** Width of the box, CSS pixels; its height is the same if none is given. */
  edge: number;
  height?: number;
  /** The picture fills the box and its edges are cut. */
  cover?: boolean;
  problem?: string | null;
}

/** The smallest thumbnail with at least this many pixels of the screen. */
export function thumbnailSize(edge: number): number {
  const wanted = edge * Math.min(globalThis.devicePixelRatio || 1, 2);
  return THUMBNAIL_SIZES.find(size => size >= wanted) ?? THUMBNAIL_SIZES.at(-1)!;
}

export function Thumbnail({ of, alt, edge, height = edge, cover = false, problem }: Props) {
  const { url, error } = usePicture(of && { ...of, size: thumbnailSize(Math.max(edge, height)) });
  const [tiny, setTiny] = useState(false);
  const [broken, setBroken] = useState<string>(); // the URL that the browser cannot decode
  const sentence =
    problem || error || (url && broken === url ? 'The browser cannot show this picture.' : null);
  const style = { width: edge, height };
  if (sentence) {
    return (
      <span
        className="imgcls-thumb imgcls-thumb-broken"
        style={style}
        title={sentence}
        role="img"
        aria-label={`${alt} ${sentence}`.trim()}
      >
        <span className="imgcls-thumb-sentence">{edge >= 72 ? sentence : '!'}</span>
      </span>
    );
  }
  return (
    <span className="imgcls-thumb" style={style}>
      {url && (
        <img
          className={[cover && 'imgcls-thumb-cover', tiny && 'imgcls-pixelated'].filter(Boolean).join(' ')}
          src={url}
          alt={alt}
          decoding="async"
          draggable={false}
          onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) =>
            setTiny(Math.max(naturalWidth, naturalHeight) * 1.5 < Math.max(edge, height))
          }
          onError={() => setBroken(url)}
        />
      )}
    </span>
  );
}
