// What an output of images names: their captions, and where their pictures come from.
import type { PictureOf } from '../data/asked';

/** A caption, and whether it is good (green) or bad (red). */
type Line = [text: string, good: boolean | null];

export interface GalleryImage {
  /** Its id; empty: it has no picture. */
  image: string;
  name: string;
  lines: Line[];
}

export interface GalleryData {
  title: string;
  items: GalleryImage[];
  /** Images of the answer, of which the first are here. */
  total: number;
}

/** A gallery as an output names it; null: the data are none, whoever wrote them. */
export function galleryOf(data: Record<string, unknown>): GalleryData | null {
  const { title, items, total } = data;
  if (typeof title !== 'string' || !Array.isArray(items)) return null;
  const found = items.map((item: Partial<GalleryImage> | null): GalleryImage => ({
    image: String(item?.image ?? ''),
    name: String(item?.name ?? ''),
    lines: Array.isArray(item?.lines)
      ? item.lines.map(line => [String(line?.[0] ?? ''), typeof line?.[1] === 'boolean' ? line[1] : null])
      : [],
  }));
  return { title, items: found, total: typeof total === 'number' ? total : found.length };
}

/** The run or data set that an output names as the source of its images. */
export function originOf(of: unknown): ((image: string) => PictureOf) | null {
  const { kind, id } = (of ?? {}) as Record<string, unknown>;
  if (kind === 'run' && typeof id === 'string') return image => ({ kind, id, image });
  if (kind === 'dataset' && typeof id === 'number') return image => ({ kind, id, image });
  return null;
}
