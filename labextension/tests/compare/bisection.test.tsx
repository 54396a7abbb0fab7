// Where two runs part: what is asked for, how far it is, what was found, and why it cannot be searched.
import { act } from 'react';
import { expect, it } from 'vitest';
import { BisectionCard, whyNotBisected } from '../../src/views/compare/bisection';
import { SourceProvider } from '../../src/views/data/source';
import type { Bisection, BisectionReply, Comparison, Run } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';
import { button, host, root, stage } from '../stage';

stage();

const FOUND: Bisection = {
  ...{ one: 'a', other: 'b', first_step: 7, after_step: 5, replays: 4, part: 'rate', name: 'lr' },
  ...{ differences: [], sentence: 'Step 7 is the first that differs: the learning rate is 0.1 in one.' },
};
const RUNS = ['a', 'b'].map(id => aRun({ id, name: id, state: 'succeeded' }));
const comparing = (runs: Run[]): Comparison => ({
  ...{ runs, differs: [], missing: [], unrecorded: [], same: [] },
  ...{ same_settings: 0, unlisted: 0, other_images: false, sizes: [], tags: [] },
});

async function show(reply: BisectionReply, runs = RUNS) {
  const source = new FakeSource({
    bisection: () => reply,
    bisect: () => aRun({ id: 't1', kind: 'task', state: 'queued' }),
    stop: () => aRun({ id: 't1', kind: 'task', state: 'stopped' }),
  });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <BisectionCard comparison={comparing(runs)} />
      </SourceProvider>,
    ),
  );
  return source;
}

const search = () => button('Find where they part');
const result = () => host.querySelector<HTMLElement>('[data-first-step]');

it('asks for both runs, and names the first step that differs and what differs in it', async () => {
  const source = await show({ found: FOUND, task: aRun({ kind: 'task', state: 'succeeded' }) });
  expect(source.asked).toContainEqual(['bisection', { id: 'a', against: 'b' }]);
  expect([result()!.dataset.firstStep, result()!.dataset.part]).toEqual(['7', 'rate']);
  expect(result()!.querySelector('[data-tone=error]')!.textContent).toBe('They part at step 7');
  expect(result()!.textContent).toContain('to step 5');
  expect(result()!.textContent).toContain('4 partial replays');
  expect(result()!.textContent).toContain(FOUND.sentence);
  await act(async () => search().click());
  expect(source.asked).toContainEqual(['bisect', { id: 'a', against: 'b' }]);
});

it('tells equal runs from runs that begin with other weights', async () => {
  const task = aRun({ kind: 'task', state: 'succeeded' });
  await show({ found: { ...FOUND, first_step: null, after_step: 40, replays: 0, part: '' }, task });
  expect(result()!.querySelector('[data-tone=ok]')!.textContent).toBe('The same to step 40');
  await show({ found: { ...FOUND, first_step: 0, after_step: 0, replays: 0, part: 'start' }, task });
  expect(result()!.querySelector('[data-tone=error]')!.textContent).toBe('Other weights at the start');
});

it('shows how far it is and can be cancelled; one that failed says why', async () => {
  const task = aRun({ id: 't1', kind: 'task', phase: 'computing steps again', step: 7, total_steps: 20 });
  const source = await show({ found: null, task });
  expect(host.querySelector('[role=status]')!.textContent).toContain('computing steps again · 7 of 20');
  expect(search()).toBeUndefined();
  await act(async () => button('Cancel').click());
  expect(source.asked).toContainEqual(['stop', { id: 't1' }]);
  await show({ found: null, task: { ...task, state: 'failed', message: 'The images are gone.' } });
  expect(host.querySelector('[role=alert]')!.textContent).toContain('The images are gone.');
  expect(search().disabled).toBe(false);
});

it('is there for two trainings alone, and says why they cannot be searched', async () => {
  const source = await show({ found: null, task: null }, [...RUNS, aRun({ id: 'c' })]);
  expect(host.textContent).toBe('');
  await show({ found: null, task: null }, [RUNS[0]!, aRun({ id: 'n', kind: 'notebook' })]);
  expect(host.textContent).toBe('');
  expect(source.asked).toEqual([]);
  await show({ found: null, task: null }, [RUNS[0]!, aRun({ id: 'l', name: 'late', state: 'running' })]);
  expect(search().disabled).toBe(true);
  expect(search().title).toContain('“late”');
  expect(whyNotBisected(RUNS)).toBeUndefined();
  expect(whyNotBisected([RUNS[0]!, { ...RUNS[1]!, step: 0 }])).toContain('no step');
  expect(whyNotBisected([{ ...RUNS[0]!, view_only: true }, RUNS[1]!])).toContain('Claim “a”');
  await show({ found: null, task: null }, [RUNS[0]!, { ...RUNS[1]!, may_change: false }]);
  expect(search()).toBeUndefined();
});
