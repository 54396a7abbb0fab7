import { expect, it } from 'vitest';
import { changesOf, type DraftChange } from '../../src/views/data/draft_revision';

const aChange = (part: Partial<DraftChange>): DraftChange => ({
  image: 'a',
  name: 'train/cat/1.jpg',
  before: 'cat',
  after: part.excluded ? null : (part.label ?? null),
  ...part,
});
const fold = (...changes: DraftChange[]) => [
  ...changesOf(changes.map(change => ({ changes: [change] }))).values(),
];

it('keeps the last change of an image, with the label that it had before the first', () => {
  const found = fold(aChange({ label: 'dog' }), aChange({ before: 'dog', excluded: true }));
  expect(found).toEqual([aChange({ excluded: true })]);
});

it('holds no change that changes nothing', () => {
  expect(fold(aChange({ label: 'dog' }), aChange({ before: 'dog', label: 'cat' }))).toEqual([]);
});

it('keeps a label beside what is excluded from one split, until the image is excluded or restored everywhere', () => {
  const label = aChange({ label: 'dog' });
  const excluded = aChange({ excluded: true, split: 'train' });
  expect(fold(label, excluded)).toEqual([label, excluded]);
  expect(fold(excluded, label)).toEqual([excluded, label]);
  expect(fold(label, excluded, aChange({ excluded: true }))).toEqual([aChange({ excluded: true })]);
  expect(fold(excluded, aChange({ after: 'cat' }))).toEqual([]);
});
