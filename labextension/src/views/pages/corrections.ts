// Corrections of images of a data set as a draft takes them. Pure.
import { changeKey, type DraftChange, type DraftRevision } from '../data/draft_revision';
import type { ChangeEdit, Image, Revision } from '../data/types';
import { count } from '../ui/format';

/** "12 relabelled, 3 excluded"; empty: nothing changed. */
export const whatChanged = (counts: Pick<Revision, 'relabelled' | 'excluded' | 'restored'>): string =>
  (['relabelled', 'excluded', 'restored'] as const)
    .filter(kind => counts[kind] > 0)
    .map(kind => `${count(counts[kind])} ${kind}`)
    .join(', ');

/** The class by which an image counts now; null: it is excluded. */
const labelOf = (image: Image): string | null => (image.excluded ? null : image.label);

/** What the draft says of an image. */
export function draftOf(draft: DraftRevision, { image, split }: Image): DraftChange | undefined {
  return draft.changes.get(changeKey(image, split)) ?? draft.changes.get(changeKey(image));
}

const common = (image: Image, why: string) => ({
  image: image.image,
  why,
  name: image.name,
  before: labelOf(image),
});

export const relabelled = (image: Image, label: string, why: string): DraftChange => ({
  ...common(image, why),
  label,
  after: label,
});

export const excluded = (image: Image, why: string): DraftChange => ({
  ...common(image, why),
  excluded: true,
  after: null,
});

/** Excluded from one split, while its copies in other splits stay. */
export const excludedFrom = (image: Image, why: string): DraftChange => ({
  ...excluded(image, why),
  split: image.split as ChangeEdit['split'],
});

/** As its folder says again. */
export const restored = (image: Image): DraftChange => ({
  ...common(image, 'by hand'),
  after: image.folder_label,
});
