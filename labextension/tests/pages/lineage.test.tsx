// Runs as a tree: how the runs are ordered and where their bars stand, the form of a fork, and where a fork came from.
import { act } from 'react';
import { expect, it, vi } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { ForkRequest, RunDetail } from '../../src/views/data/types';
import { ForkForm, whyNoFork } from '../../src/views/forms/fork_form';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import { Lineage, branchesOf } from '../../src/views/pages/lineage';
import { FakeSource, aRun, aSeries } from '../fake';
import { button, host, root, stage } from '../stage';

stage();

const TREE = [
  aRun({ id: 'a', name: 'first', epoch: 10, epochs: 10, lineage: 'a' }),
  aRun({ id: 'b', name: 'fork', parent_id: 'a', fork_step: 40, fork_epoch: 4, epoch: 10, lineage: 'a' }),
  aRun({ id: 'c', name: 'other', parent_id: 'a', fork_step: 60, fork_epoch: 6, epoch: 8, lineage: 'a' }),
  aRun({ id: 'd', name: 'longer', parent_id: 'b', fork_step: 100, fork_epoch: 10, epoch: 20, lineage: 'a' }),
];

const SCHEMA = {
  json_schema: {
    properties: {
      epochs: { type: 'integer', title: 'Epochs', group: 'optimisation', first: true, default: 10 },
      lr: { type: 'number', title: 'Learning rate', group: 'optimisation', first: true, default: 0.1 },
      seed: {
        type: 'integer',
        title: 'Seed',
        group: 'optimisation',
        first: true,
        default: 0,
        at_fork: 'refused',
      },
    },
  },
  groups: { optimisation: 'Optimisation' },
  defaults: {},
};

const saved = (name: string, step: number, epoch: number, ...links: string[]) => ({
  name,
  step,
  epoch,
  attempt: 1,
  links,
  size: 1,
  created_at: 1,
});

const RUN = {
  ...aRun({ id: 'a', state: 'succeeded', epoch: 10 }),
  config: { epochs: 10, lr: 0.1, seed: 0 },
  checkpoints: [saved('a001-s00000040', 40, 4, 'best'), saved('a001-s00000100', 100, 10, 'last')],
} as unknown as RunDetail;

const render = (source: FakeSource, view: React.ReactNode) =>
  act(async () => root.render(<SourceProvider value={source}>{view}</SourceProvider>));

it('puts each run behind its parent, from where it left it', () => {
  const found = branchesOf(TREE);
  expect(found.map(({ run, depth, from, to }) => [run.id, depth, from, to])).toEqual([
    ['a', 0, 0, 10],
    ['b', 1, 4, 10],
    ['d', 2, 10, 20],
    ['c', 1, 6, 8],
  ]);
});

it('keeps a fork whose parent was deleted', () => {
  expect(branchesOf(TREE.slice(1)).map(({ run, depth }) => [run.id, depth])).toEqual([
    ['b', 0],
    ['d', 1],
    ['c', 0],
  ]);
});

it('draws the tree on the page of a run that belongs to one, and nothing on another', async () => {
  const source = new FakeSource({ lineage: () => TREE });
  await render(source, <Lineage run={TREE[1] as RunDetail} />);
  expect(host.querySelectorAll('.imgcls-branch')).toHaveLength(4);
  expect(host.querySelector('[aria-current]')!.textContent).toContain('fork');
  await render(source, <Lineage run={aRun({ id: 'z' }) as RunDetail} />);
  expect(host.textContent).toBe('');
});

it('forks from the chosen checkpoint with what was changed, and offers nothing that cannot change', async () => {
  const asked: unknown[] = [];
  const source = new FakeSource({
    schema: () => SCHEMA,
    fork: args => {
      asked.push(args);
      return { ...aRun({ id: 'child' }), made: true };
    },
  });
  await render(source, <ForkForm run={RUN} onCancel={() => undefined} />);
  expect(host.textContent).not.toContain('Seed');
  const button = () =>
    [...host.querySelectorAll('button')].find(b => /Fork|Extend/.test(b.textContent ?? ''))!;
  expect(button().textContent).toBe('Extend to 20 epochs');
  const at = host.querySelector('select')!;
  await act(async () => {
    at.value = 'a001-s00000040';
    at.dispatchEvent(new Event('change', { bubbles: true }));
  });
  expect(button().textContent).toBe('Fork');
  await act(async () => button().click());
  expect(asked).toEqual([{ id: 'a', at: 'a001-s00000040', fields: {}, on_schedule: 'continue' }]);
});

it('draws the learning rate before the fork and after it, by either schedule, and says what is refused', async () => {
  const asked: unknown[] = [];
  const source = new FakeSource({
    schema: () => SCHEMA,
    series: () => ({
      series: [aSeries('lr', [1, 50, 100], [0.1, 0.05, 0], 'a')],
      inherited: [],
      cursors: {},
    }),
    forkPreview: request => {
      asked.push(request);
      if ((request as ForkRequest).at !== 'a001-s00000100')
        return { problems: [{ field: 'lr', message: 'It cannot change there.' }] };
      const rates = { epoch: [10, 20], lr: [0.1, 0] };
      return { epoch: 10, continued: rates, restarted: rates };
    },
  });
  await render(source, <ForkForm run={RUN} onCancel={() => undefined} />);
  const chart = () => host.querySelector<HTMLElement>('figure[aria-label="Learning rate"]')!;
  await vi.waitFor(() => expect(chart().dataset.points).toBe('7'));
  expect(chart().dataset.marks).toBe('1');
  expect([...chart().querySelectorAll('.imgcls-legend .imgcls-clip')].map(each => each.textContent)).toEqual([
    'this run',
    'fork: goes on along its curve',
    'fork: begins its curve anew, with a warm-up',
  ]);
  expect(asked).toEqual([{ id: 'a', at: 'a001-s00000100', fields: { epochs: 20 } }]);
  await act(async () => {
    const at = host.querySelector('select')!;
    at.value = 'a001-s00000040';
    at.dispatchEvent(new Event('change', { bubbles: true }));
  });
  await vi.waitFor(() => expect(host.textContent).toContain('It cannot change there.'));
  expect(host.querySelector('[role=alert]')!.textContent).toBe('It cannot change there.');
  expect([...host.querySelectorAll('button')].find(b => b.textContent === 'Fork')!.disabled).toBe(true);
});

it('says that a fork is there already, and leads to it', async () => {
  const went: Place[] = [];
  const source = new FakeSource({
    schema: () => SCHEMA,
    fork: () => ({ ...aRun({ id: 'child', name: 'first, to 20 epochs', state: 'succeeded' }), made: false }),
  });
  await render(
    source,
    <NavigationProvider value={place => went.push(place)}>
      <ForkForm run={RUN} onCancel={() => undefined} />
    </NavigationProvider>,
  );
  await act(async () => button('Extend to 20 epochs').click());
  expect(went).toEqual([]);
  expect(host.querySelector('[role=status]')!.textContent).toMatch(
    /^It is there already: first, to 20 epochs, succeeded, .*Nothing was queued\.$/,
  );
  await act(async () => button('first, to 20 epochs').click());
  expect(went).toEqual([{ view: 'run', id: 'child' }]);
});

it('says why a run cannot be forked', () => {
  expect(whyNoFork(RUN)).toBeUndefined();
  expect(whyNoFork({ ...RUN, checkpoints: [] })).toContain('no checkpoint');
  expect(whyNoFork({ ...RUN, view_only: true })).toContain('Claim');
});
