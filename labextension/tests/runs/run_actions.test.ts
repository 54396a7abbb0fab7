// What can be done with the chosen runs: to which of them it applies, why to none, and what was done.
import { expect, it } from 'vitest';
import {
  appliesTo,
  deleteQuestion,
  deleteRuns,
  editRuns,
  planDeletion,
  sizeOf,
  stopRuns,
  tagsIn,
} from '../../src/views/runs/run_actions';
import { FakeSource, aRun } from '../fake';

const done = aRun({ id: 'done', name: 'done', state: 'succeeded', size: 5e8, tags: [], archived: false });
const live = aRun({ id: 'live', name: 'live', size: 2e8 });
const stopped = aRun({ id: 'stopped', name: 'stopped', state: 'stopped', resumable: true });
const foreign = aRun({ id: 'foreign', state: 'stopped', may_change: false });
const ids = (action: Parameters<typeof appliesTo>[0], ...runs: (typeof done)[]) =>
  appliesTo(action, runs).runs.map(run => run.id);

it('applies to those of the chosen runs that it can change', () => {
  expect(ids('stop', done, live, stopped)).toEqual(['live']);
  expect(ids('resume', done, live, stopped, foreign)).toEqual(['stopped']);
  expect(ids('delete', done, live, stopped)).toEqual(['done', 'stopped']);
  expect(ids('archive', done, live)).toEqual(['done']);
  expect(ids('restore', { ...done, archived: true }, live)).toEqual(['done']);
  expect(ids('tag', done, foreign)).toEqual(['done']);
  expect(ids('clone', done)).toEqual(['done']);
});

it('says why it applies to none', () => {
  const reason = (action: Parameters<typeof appliesTo>[0], ...runs: (typeof done)[]) =>
    appliesTo(action, runs).reason;
  expect(reason('stop', done, stopped)).toContain('none of the 2 is running');
  expect(reason('compare', done)).toContain('two trainings');
  expect(reason('clone', done, live)).toContain('one run');
  expect(reason('archive', foreign)).toContain('not yours to change');
  expect(reason('compare', ...Array.from({ length: 101 }, (_, i) => aRun({ id: `r${i}` })))).toContain('100');
  expect(reason('tag')).toContain('no run is chosen');
  expect(reason('tag', done)).toBeNull();
});

it('says beforehand what a deletion frees, what stays and what is removed on another host', async () => {
  const plan = { deleted: ['done'], refused: [], freed: 5e8, shared: 0, elsewhere: [], dry_run: true };
  expect(deleteQuestion(plan)).toBe(
    'Delete 1 run with its checkpoints and log? That frees 500 MB. It cannot be undone.',
  );
  expect(deleteQuestion({ ...plan, shared: 1e8, elsewhere: ['done'] })).toMatch(/100 MB stay.*another host/);
  expect(deleteQuestion({ ...plan, deleted: [] })).not.toContain('frees');
  expect([sizeOf([done, live]), sizeOf([stopped])]).toEqual(['about 700 MB', '']);
});

it('asks for the plan of a deletion in pieces, and deletes nothing', async () => {
  const sent: unknown[] = [];
  const source = new FakeSource({
    'runs.deleteMany': (request: { runs: string[]; dry_run?: boolean }) => {
      sent.push([request.runs.length, request.dry_run]);
      return { deleted: request.runs, refused: [], freed: 1, shared: 2, elsewhere: [], dry_run: true };
    },
  });
  const many = Array.from({ length: 1200 }, (_, i) => aRun({ id: `r${i}`, state: 'failed' }));
  expect(await planDeletion(source, many)).toMatchObject({ freed: 2, shared: 4, dry_run: true });
  expect(sent).toEqual([
    [1000, true],
    [200, true],
  ]);
});

it('edits in pieces, names what was refused by its run, and gives back what undoes it', async () => {
  const sent: { runs: string[]; edit: object }[] = [];
  const source = new FakeSource({
    runs: () => ({ items: [], total: 0, counts: {}, owners: [] }),
    'runs.editMany': ({ edits }: { edits: { runs: string[]; edit: object }[] }) => {
      sent.push(...edits);
      const { runs } = edits[0]!;
      return {
        changed: runs.filter(id => id !== 'live').map(id => aRun({ id })),
        refused: runs.includes('live') ? [{ run: 'live', message: 'It runs.', reason: '' }] : [],
        undo: [{ runs: ['done'], edit: { archived: false } }],
      };
    },
  });
  const outcome = await editRuns(source, [done, live], { archived: true }, count => `Archived ${count}.`);
  expect(outcome).toMatchObject({
    text: 'Archived 1.',
    refused: [{ name: 'live', message: 'It runs.' }],
  });
  expect((await outcome.undo!(source)).undo).toBeNull();
  expect(sent.at(-1)).toEqual({ runs: ['done'], edit: { archived: false } });
  sent.length = 0;
  const many = Array.from({ length: 2500 }, (_, i) => aRun({ id: `r${i}` }));
  await editRuns(source, many, { add_tags: ['x'] }, count => `${count}`);
  expect(sent.map(({ runs }) => runs.length)).toEqual([1000, 1000, 500]);
});

it('says what a deletion freed, what stays, and which runs were refused', async () => {
  const source = new FakeSource({
    runs: () => ({ items: [], total: 0, counts: {}, owners: [] }),
    'runs.deleteMany': () => ({
      deleted: ['done'], refused: [{ run: 'stopped', message: 'It is not yours.', reason: '' }],
      freed: 5e8, shared: 1e8, elsewhere: [], dry_run: false,
    }),
    'runs.act': ({ runs }: { runs: string[] }) => ({ changed: runs.map(id => aRun({ id })), refused: [] }),
  }); // prettier-ignore
  const outcome = await deleteRuns(source, [stopped, done]);
  expect(outcome).toMatchObject({
    gone: ['done'],
    refused: [{ name: 'stopped', message: 'It is not yours.' }],
  });
  expect(outcome.text).toContain('500 MB are free again');
  expect(outcome.text).toContain('100 MB stay');
  expect(await stopRuns(source, [live])).toMatchObject({ refused: [], undo: null });
  expect(source.asked).toContainEqual(['runs.act', { runs: ['live'], action: 'stop' }]);
});

it('reads tags as they are typed', () => {
  expect(tagsIn(' baseline, to-check  baseline ')).toEqual(['baseline', 'to-check']);
});
