// A row of the table of runs: what is edited where it stands, its small curve, and what a group shows.
import { act } from 'react';
import { beforeEach, expect, it, vi } from 'vitest';
import { allColumns } from '../../src/views/runs/columns';
import { GridRow } from '../../src/views/runs/grid_row';
import type { Run, RunGroup } from '../../src/views/data/types';
import { aRun } from '../fake';
import { host, root, stage } from '../stage';

stage();

const KEYS = ['lr', 'notes', 'tag', 'owner'];
const COLUMNS = allColumns({
  columns: KEYS.map(key => ({ key, label: key, description: '', group: 'run', kind: 'text' })),
  groups: {},
  tags: [],
});
const [onEdit, onSave, onDone] = [vi.fn(), vi.fn(), vi.fn()];
beforeEach(() => [onEdit, onSave, onDone].forEach(each => each.mockReset()));

const aGroup = (part: Partial<RunGroup> = {}): RunGroup => ({
  ...{ key: 'g', kind: 'sweep', name: 'rates', head: null, where: '', runs: 8, states: { succeeded: 8 } },
  ...{ lr: null, models: ['tiny'], size: 1, created_at: 1 },
  ...part,
});

const draw = (part: { run?: Run; group?: RunGroup | null; editing?: string | null }) =>
  act(async () =>
    root.render(
      <GridRow
        {...{ id: 'row', index: 0, known: true, run: undefined, group: null, where: undefined, child: false }}
        {...{ unfolded: false, active: false, chosen: 'none', now: 2000, columns: COLUMNS, tight: false }}
        {...{ editing: null, onOpen: vi.fn(), onFold: vi.fn(), onEdit, onSave, onDone }}
        {...part}
      />,
    ),
  );
/** The cell of a column; the box and the name stand before them. */
const cell = (key: string) =>
  host.querySelectorAll<HTMLElement>('[role=gridcell]')[2 + COLUMNS.findIndex(column => column.key === key)]!;
const twice = (on: HTMLElement) =>
  act(async () => void on.dispatchEvent(new MouseEvent('dblclick', { bubbles: true })));
const press = (key: string) =>
  act(async () => {
    host
      .querySelector('input[aria-label]:not([type])')!
      .dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  });

it('begins to edit notes and tags by a double click, nothing else, and of one’s own runs alone', async () => {
  await draw({ run: aRun() });
  for (const key of ['notes', 'tag', 'owner', 'lr']) await twice(cell(key));
  expect(onEdit.mock.calls.map(([edit]) => edit)).toEqual([
    { id: 'r1', column: 'notes' },
    { id: 'r1', column: 'tag' },
  ]);
  onEdit.mockReset();
  await draw({ run: aRun({ may_change: false }) });
  await twice(cell('notes'));
  expect(onEdit).not.toHaveBeenCalled();
});

it.each([
  ['notes', 'the first try', 'a better one'],
  ['tag', 'keep, old', 'keep'],
])('saves what was typed for the %s at Enter, and nothing at Escape', async (column, before, typed) => {
  const run = aRun({ notes: 'the first try', tags: ['keep', 'old'] });
  await draw({ run, editing: column });
  const input = cell(column).querySelector('input')!;
  expect([input.value, document.activeElement]).toEqual([before, input]);
  input.value = typed;
  await press('Escape');
  expect([onSave.mock.calls.length, onDone.mock.calls]).toEqual([0, [[true]]]);
  await draw({ run });
  await draw({ run, editing: column });
  cell(column).querySelector('input')!.value = typed;
  await press('Enter');
  expect(onSave.mock.calls).toEqual([[run, column, typed]]);
});

it('draws the small curve of a run that has two points, and none before', async () => {
  await draw({ run: aRun({ curve: [0.5] }) });
  expect(cell('curve').querySelector('svg')).toBeNull();
  await draw({
    run: aRun({ curve: [0.5, 0.6, 0.7], best: { metric: 'metric/accuracy', value: 0.7, epoch: 3 } }),
  });
  expect(cell('curve').querySelector('svg')).not.toBeNull();
});

it('shows the range of a group short, and the whole of it in the title', async () => {
  await draw({ group: aGroup({ lr: [0.00012346, 0.098765] }) });
  expect(cell('lr').textContent).toBe('0.00012–0.099');
  expect(cell('lr').title).toBe('0.0001235–0.09877');
  await draw({ group: aGroup({ lr: [0.001, 0.001] }) });
  expect(cell('lr').textContent).toBe('0.001');
  await draw({ group: aGroup() });
  expect(cell('lr').textContent).toBe('–');
});
