// The bar of the chosen runs: each button does its work with those of them that it applies to.
import { act } from 'react';
import { beforeEach, expect, it, vi } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { Run } from '../../src/views/data/types';
import { ChosenBar } from '../../src/views/runs/chosen_bar';
import type { RunActions } from '../../src/views/runs/use_run_actions';
import { NavigationProvider } from '../../src/views/ui/navigation';
import { FakeSource, aRun } from '../fake';
import { button, press, root, stage } from '../stage';

stage();

const ALIVE = aRun({ id: 'alive', state: 'running', tags: ['first'] });
const STOPPED = aRun({ id: 'stopped', state: 'stopped' });
const DONE = aRun({ id: 'done', state: 'succeeded' });
const navigate = vi.fn();
let source: FakeSource;

beforeEach(() => {
  navigate.mockReset();
  source = new FakeSource({
    projects: () => [
      { id: 1, name: 'default', may_change: true },
      { id: 2, name: 'birds', may_change: true },
      { id: 3, name: 'of others', may_change: false },
    ],
    'runs.act': ({ runs }: { runs: string[] }) => ({ changed: runs.map(id => aRun({ id })), refused: [] }),
    'runs.editMany': ({ edits }: { edits: { runs: string[] }[] }) => ({
      changed: edits.flatMap(edit => edit.runs).map(id => aRun({ id })),
      refused: [],
      undo: [],
    }),
    runs: () => ({ items: [], total: 0, counts: {}, owners: [], deleted: [] }),
  });
});

async function choose(...runs: Run[]) {
  const actions = {
    busy: false,
    act: (doing: (of: FakeSource) => Promise<unknown>) => void doing(source),
  } as unknown as RunActions;
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <NavigationProvider value={navigate}>
          <ChosenBar {...{ runs, actions }} tags={['first']} onClear={() => undefined} />
        </NavigationProvider>
      </SourceProvider>,
    ),
  );
}
const changes = () => source.asked.filter(([name]) => name.startsWith('runs.'));

it('stops and resumes those alone that can be, and says how many', async () => {
  await choose(ALIVE, STOPPED, DONE);
  await press('Stop 1');
  await press('Resume 1');
  expect(changes()).toMatchObject([
    ['runs.act', { runs: ['alive'], action: 'stop' }],
    ['runs.act', { runs: ['stopped'], action: 'resume' }],
  ]);
});

it('opens TensorBoard and the comparison of all of them', async () => {
  await choose(ALIVE, STOPPED, DONE);
  await press('TensorBoard');
  await press('Compare 3');
  expect(navigate.mock.calls).toEqual([
    [{ view: 'tensorboard', run_ids: ['alive', 'stopped', 'done'] }],
    [{ view: 'compare', ids: ['alive', 'stopped', 'done'] }],
  ]);
});

it('clones one run, and says why not several', async () => {
  await choose(ALIVE, DONE);
  expect([button('Clone…').disabled, button('Clone…').title]).toEqual([true, 'one run is cloned at a time']);
  await choose(DONE);
  await press('Clone…');
  expect(navigate.mock.calls).toEqual([[{ view: 'new-run', from: 'done' }]]);
});

it('moves them to a project that is one’s own, and takes away a tag', async () => {
  await choose(ALIVE, DONE);
  await press('Move…');
  expect([button('default').disabled, button('of others').disabled]).toEqual([true, true]);
  await press('birds');
  await press('Tag…');
  await press('remove');
  expect(changes()).toMatchObject([
    ['runs.editMany', { edits: [{ runs: ['alive', 'done'], edit: { project_id: 2 } }] }],
    ['runs.editMany', { edits: [{ runs: ['alive', 'done'], edit: { remove_tags: ['first'] } }] }],
  ]);
});

it('says of each button why it applies to none', async () => {
  await choose(DONE);
  for (const [text, reason] of [
    ['Stop', 'the run is not running or waiting'],
    ['Resume', 'the run is not stopped or failed'],
    ['Compare', 'a comparison takes two trainings or more'],
  ] as const)
    expect([button(text).disabled, button(text).title]).toEqual([true, reason]);
  await choose(aRun({ ...DONE, archived: true }));
  await press('Put back');
  expect(changes()).toMatchObject([
    ['runs.editMany', { edits: [{ runs: ['done'], edit: { archived: false } }] }],
  ]);
});
