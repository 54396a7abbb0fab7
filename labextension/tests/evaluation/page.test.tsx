// The evaluation page with a source in the hand: from a cell to its images, keys that correct them, state that stays.
import { act, useState } from 'react';
import { expect, it, vi } from 'vitest';
import { ClassTable } from '../../src/views/pages/class_table';
import { EvaluationPage } from '../../src/views/evaluation/evaluation_page';
import type { Corrections } from '../../src/views/evaluation/corrections';
import { FIRST_STATE, type EvaluationState } from '../../src/views/evaluation/filter';
import { FlipsCard } from '../../src/views/evaluation/flips';
import { RelabelChoice } from '../../src/views/evaluation/relabel_choice';
import type { RunImagesQuery } from '../../src/views/data/asked';
import { SourceProvider } from '../../src/views/data/source';
import type { Evaluation } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';
import { anEvaluation, anImage } from './made';

const EVIL = '<img src=x onerror="window.hacked = true">';
stage();

const corrections = () => ({
  count: 0,
  of: vi.fn((): ReturnType<Corrections['of']> => undefined),
  relabel: vi.fn(),
  exclude: vi.fn(),
  undo: vi.fn(),
});

async function show(view: Evaluation = anEvaluation(), state: Partial<EvaluationState> = {}) {
  const given = corrections();
  const source = new FakeSource({
    evaluation: () => view,
    evaluated: ({ label, predicted, offset = 0 }: RunImagesQuery) => ({
      items: [1, 2, 3].map(n => anImage(n, { label: label ?? 'dog', predicted: predicted ?? 'cat' })),
      offset,
      total: 3,
      counts: { all: 30, mistakes: 6, confident_mistakes: 2, unsure: 5 },
    }),
    curves: () => ({
      images: 10,
      precision: [],
      recall: [],
      false_positive_rate: [],
      true_positive_rate: [],
    }),
  });
  let kept: EvaluationState = { ...FIRST_STATE, ...state };
  const run = aRun({
    best: { metric: 'accuracy', value: 0.8, epoch: 2 },
    latest: { 'metric/accuracy': 0.8 },
  });
  const Page = () => {
    const [now, setNow] = useState(kept);
    return (
      <EvaluationPage
        run={run}
        state={now}
        onState={part => setNow(was => (kept = { ...was, ...part }))}
        corrections={given}
      />
    );
  };
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <Page />
      </SourceProvider>,
    ),
  );
  const asked = (): RunImagesQuery[] =>
    source.asked.filter(([kind]) => kind === 'evaluated').map(([, params]) => params as RunImagesQuery);
  return { source, given, asked, kept: () => kept };
}

const button = (label: string): HTMLButtonElement =>
  [...host.querySelectorAll('button')].find(
    item => item.getAttribute('aria-label') === label || item.textContent === label,
  )!;
const press = (target: Element, key: string) =>
  act(
    async () =>
      void target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true })),
  );

it('shows the mistakes at first, and the images of a cell that is chosen', async () => {
  const { asked, kept } = await show();
  expect(asked().at(-1)).toMatchObject({ id: 'r1', split: 'val', show: 'mistakes', sort: 'loss' });
  expect(host.textContent).toContain('24 right, 6 wrong');
  expect(host.textContent).toContain('63.0 to 90.0 at 95\u00a0%');
  await act(async () => button('true cat, predicted dog: 2').click());
  expect(asked().at(-1)).toMatchObject({ label: 'cat', predicted: 'dog', show: 'mistakes' });
  expect(host.querySelector('[aria-label=Images] h3')!.textContent).toContain(
    'True cat, predicted dog · 3 images',
  );
  expect(kept().filter).toMatchObject({ label: 'cat', predicted: 'dog' });
});

it('shows the training images by group, without confusion and thresholds, and corrects them', async () => {
  const { asked, given, kept } = await show(anEvaluation({ has_train: true }), { choice: 'train' });
  expect(asked().at(-1)).toMatchObject({ split: 'train', show: 'all', sort: 'mean', order: 'asc' });
  expect(host.querySelector('[aria-label=Confusion], [aria-label=Threshold]')).toBeNull();
  await act(async () => button('suspicious0').click());
  await act(async () => button('spread').click());
  expect(asked().at(-1)).toMatchObject({ group: 'suspicious', sort: 'spread', order: 'desc' });
  expect(host.querySelector('[aria-label=Images] h3')!.textContent).toContain('Suspicious training images');
  await press(host.querySelector('[role=grid]')!, '3');
  expect(given.relabel).toHaveBeenLastCalledWith([expect.objectContaining({ name: 'val/dog/1.png' })], 'owl');
  expect(kept().filter).toEqual(FIRST_STATE.filter);
});

it('walks the matrix by arrows from the worst cell, one stop of Tab', async () => {
  await show();
  const grid = host.querySelector('table[role=grid]')!;
  const stops = [...grid.querySelectorAll('td button')].filter(item => (item as HTMLElement).tabIndex === 0);
  expect(stops.map(item => item.getAttribute('aria-label'))).toEqual(['true dog, predicted cat: 3']);
  (stops[0] as HTMLElement).focus();
  await press(document.activeElement!, 'ArrowRight');
  await press(document.activeElement!, 'ArrowRight');
  expect(document.activeElement!.getAttribute('aria-label')).toBe('true dog, predicted owl: 1');
});

it('corrects by keys: digits relabel, x excludes, u takes back, and all images of a cell at once', async () => {
  const { given } = await show(anEvaluation(), {
    filter: { ...FIRST_STATE.filter, label: 'dog', predicted: 'cat' },
  });
  const images = host.querySelector('[role=grid]:not(table)')!;
  await press(images, '3');
  expect(given.relabel).toHaveBeenLastCalledWith([expect.objectContaining({ name: 'val/dog/1.png' })], 'owl');
  await press(images, 'x');
  expect(given.exclude).toHaveBeenLastCalledWith([expect.objectContaining({ name: 'val/dog/1.png' })]);
  await press(images, 'u');
  expect(given.undo).toHaveBeenCalledOnce();
  await act(async () => button('Relabel all 3 as cat').click());
  expect(given.relabel.mock.lastCall![0]).toHaveLength(3);
  expect(given.relabel.mock.lastCall![1]).toBe('cat');
});

it('finds a class by typing and takes it with Enter', async () => {
  const choose = vi.fn();
  await act(async () =>
    root.render(
      <RelabelChoice
        names={['cat', 'cattle', 'dog']}
        what="2 images"
        onChoose={choose}
        onCancel={() => undefined}
      />,
    ),
  );
  const input = host.querySelector('input')!;
  await act(async () => {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(input, 'catt');
    input.dispatchEvent(new Event('input', { bubbles: true }));
  });
  await press(input, 'Enter');
  expect(choose).toHaveBeenCalledWith('cattle');
});

it('says why there is nothing to see of a run without predictions', async () => {
  const source = new FakeSource({
    evaluation: () => {
      throw new Error('The run kept no predictions.');
    },
  });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <EvaluationPage
          run={aRun({ state: 'failed' })}
          state={FIRST_STATE}
          onState={() => undefined}
          corrections={null}
        />
      </SourceProvider>,
    ),
  );
  expect(host.textContent).toBe('The run kept no predictions.');
});

it('shows names that hold HTML as text', async () => {
  const row = {
    ...anEvaluation().classes[0]!,
    name: EVIL,
    taken_for: [{ label: EVIL, predicted: 'dog', images: 1 }],
  };
  await show(
    anEvaluation({
      class_names: [EVIL, 'dog'],
      classes: [row],
      cells: [{ label: EVIL, predicted: 'dog', images: 1 }],
      notes: [EVIL],
    }),
    { filter: { ...FIRST_STATE.filter, label: EVIL, predicted: 'dog' } },
  );
  expect(host.querySelector('img[src=x]')).toBeNull();
  expect(host.textContent).toContain(EVIL);
  const report = { epoch: 1, step: 1, split: 'val', images: 1, values: {}, classes: [row], confusion: null };
  const flip = {
    image: '',
    name: EVIL,
    label: EVIL,
    before: EVIL,
    after: EVIL,
    before_confidence: 0.5,
    after_confidence: 0.5,
  };
  const flips = {
    ...{ run_id: 'r', against: 'p', against_name: EVIL, split: 'val', images: 1, relabelled: 0 },
    ...{ both_right: 0, both_wrong: 0, fixed: [flip], broke: [], fixed_total: 1, broke_total: 0 },
    ...{ p_value: 1, difference: 1, difference_low: 0.1, difference_high: 1, sentence: '' },
    ...{ bootstrap_low: 0.1, bootstrap_high: 1 },
  };
  await act(async () =>
    root.render(
      <SourceProvider value={new FakeSource({})}>
        <ClassTable report={report} />
        <FlipsCard flips={flips} />
      </SourceProvider>,
    ),
  );
  expect(host.querySelector('img[src=x]')).toBeNull();
  expect(host.textContent).toContain('1 fixed, 0 broken');
});
