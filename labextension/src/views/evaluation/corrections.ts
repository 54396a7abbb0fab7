// What views need to correct images, whoever keeps the draft; and which key does what. Pure.
import type { ClassKey } from './class_keys';

/** An image that can be corrected. */
export interface Correctable {
  image: string;
  name: string;
  split: string;
  label: string;
}

/** What the draft says of an image. */
export interface Correction {
  label?: string;
  excluded?: boolean;
}

/** A correction in a word or two. */
export const draftText = ({ label, excluded }: Correction): string =>
  excluded ? 'excluded' : label === undefined ? 'as its folder says' : `now ${label}`;

export interface Corrections {
  /** Images that the draft changes. */
  count: number;
  of: (image: string) => Correction | undefined;
  relabel: (images: readonly Correctable[], label: string) => void;
  exclude: (images: readonly Correctable[]) => void;
  undo: () => void;
}

/** Do what a key stands for: a digit relabels, x excludes, u and z take the last step back. Whether it stood for anything. */
export function correctionOfKey(
  key: string,
  corrections: Corrections,
  images: readonly Correctable[],
  keys: readonly ClassKey[],
): boolean {
  const named = images.filter(item => item.image !== '');
  const chosen = keys.find(item => item.key === key);
  if (key === 'u' || key === 'z') corrections.undo();
  else if (named.length === 0) return false;
  else if (key === 'x') corrections.exclude(named);
  else if (chosen) corrections.relabel(named, chosen.name);
  else return false;
  return true;
}
