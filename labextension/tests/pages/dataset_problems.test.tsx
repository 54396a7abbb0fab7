import { act } from 'react';
import { beforeEach, expect, it } from 'vitest';
import { DatasetProblems } from '../../src/views/pages/dataset_problems';
import { DraftBar } from '../../src/views/pages/draft_bar';
import { useDraftRevision } from '../../src/views/data/draft_revision';
import { SourceError, SourceProvider } from '../../src/views/data/source';
import type { Audit, Dataset, Problem } from '../../src/views/data/types';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();
beforeEach(() => localStorage.clear());

let serial = 0; // each test has a data set of its own: drafts outlive a page
const aDataset = (): Dataset => ({
  id: ++serial,
  name: 'pets',
  owner: 'ada',
  root: '/d/pets',
  description: '',
  created_at: serial,
  classes: ['cat', 'dog'],
  images: { train: 10 },
  smallest_class: 4,
  largest_class: 6,
  problem: null,
  notes: [],
  skipped_files: {},
  may_change: true,
});
const AUDIT: Audit = {
  run_id: 'r1',
  state: 'succeeded',
  phase: 'done',
  done: 1,
  total: 1,
  seconds_left: null,
  message: null,
  model: 'vit',
  revision: 0,
  fingerprint: 'f',
  ended_at: 1,
  stale: false,
  counts: { label_error: 3 },
  leaks: 0,
  has_map: false,
  notes: [],
};
const ERRORS: Problem[] = ['a', 'b', 'c'].map(image => ({
  id: `error-${image}`,
  kind: 'label_error',
  images: [
    {
      image: image.repeat(64),
      name: `train/cat/${image}.jpg`,
      split: 'train',
      label: 'cat',
      folder_label: 'cat',
    },
  ],
  suggested: 'dog',
  confidence: 0.9,
}));

function Page({ dataset, newest }: { dataset: Dataset; newest: number }) {
  const draft = useDraftRevision(dataset, newest);
  return (
    <>
      <DatasetProblems {...{ dataset, draft }} audit={AUDIT} />
      <DraftBar {...{ dataset, draft, newest }} />
    </>
  );
}

async function draw(source: FakeSource, dataset: Dataset, newest = 0) {
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <Page {...{ dataset, newest }} />
      </SourceProvider>,
    ),
  );
}

const answers = {
  problems: ({ kind }: { kind: string }) => ({
    items: kind === 'label_error' ? ERRORS : [],
    offset: 0,
    total: kind === 'label_error' ? ERRORS.length : 0,
  }),
  image: () => new Blob(['x']),
  models: () => [],
  runs: () => ({ items: [] }),
};
const press = (key: string) =>
  act(async () => {
    const list = host.querySelector('[aria-label="Probable label errors"] [role=list]')!;
    list.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  });
const rows = () =>
  [...host.querySelectorAll('.imgcls-label-row > :last-child')].map(item => item.textContent);
const save = () =>
  act(async () =>
    [...host.querySelectorAll('button')].find(item => item.textContent?.startsWith('Save'))!.click(),
  );

it('decides label errors by keys: accepted ones go into the revision, rejected ones do not', async () => {
  const dataset = aDataset();
  const source = new FakeSource({ ...answers, 'revisions.add': () => ({ number: 1 }) });
  await draw(source, dataset);
  for (const key of ['a', 'r', 'x']) await press(key);
  expect(rows()).toEqual(['accepted', 'rejected', 'excluded']);
  await press('z');
  expect(rows()).toEqual(['accepted', 'rejected', '']);
  expect(host.textContent).toContain('2 decided');
  await save();
  const [, args] = source.asked.find(([name]) => name === 'revisions.add')!;
  expect(args).toEqual({
    id: dataset.id,
    edit: { parent: 0, message: '', changes: [{ image: 'a'.repeat(64), label: 'dog', why: 'label_error' }] },
  });
  expect(rows()).toEqual(['', 'rejected', '']); // the server says of the first that it is settled
});

it('keeps the corrections where somebody saved a newer revision, and puts them on top of it', async () => {
  const dataset = aDataset();
  const parents: unknown[] = [];
  const source = new FakeSource({
    ...answers,
    'revisions.add': ({ edit }: { edit: { parent: number } }) => {
      parents.push(edit.parent);
      if (edit.parent === 0) throw new SourceError('There is a newer revision 1.', 409);
      return { number: 2 };
    },
  });
  await draw(source, dataset);
  await press('a');
  await save();
  await draw(source, dataset, 1);
  expect(host.querySelector('.imgcls-draft')!.textContent).toContain('There is a newer revision 1.');
  const onTop = [...host.querySelectorAll('button')].find(item => item.textContent?.includes('on top of'));
  await act(async () => onTop!.click());
  await save();
  expect(parents).toEqual([0, 1]);
  expect(host.querySelector('.imgcls-draft')).toBeNull();
});

it('begins at the first label error that no revision has settled, and shows what was wrong with the settled one', async () => {
  const [first, ...others] = ERRORS;
  const settled = { ...first!, settled: true, images: [{ ...first!.images[0]!, label: 'dog' }] };
  const problems = ({ kind }: { kind: string }) =>
    kind === 'label_error'
      ? { items: [settled, ...others], offset: 0, total: 3 }
      : { items: [], offset: 0, total: 0 };
  await draw(new FakeSource({ ...answers, problems }), aDataset());
  expect(host.querySelector('.imgcls-label-active')!.textContent).toContain('train/cat/b.jpg');
  expect(host.querySelector('.imgcls-label-row')!.textContent).toContain('cat → dog');
});
