// The rows of the table of runs: windows that are asked for as they come into view, and groups that unfold.
import { expect, it } from 'vitest';
import { RunRows } from '../../src/views/data/run_rows';
import { FakeSource, aRun } from '../fake';

interface Asked {
  where?: string;
  offset: number;
  limit: number;
}
const NOW = () => new Promise(resolve => setTimeout(resolve));

/** A server with `total` runs r0, r1 ..., each the head of a group; a query with `of=rN` gives the runs of that group. */
function served(total: number, children = 3) {
  const asked: Asked[] = [];
  const answer = (params: Asked) => {
    asked.push(params);
    if (params.where === 'wrong>') throw new Error('The query cannot be read.');
    const of = params.where?.match(/of=(\S+)/)?.[1] ?? null;
    const all = of ? children : params.where === 'few' ? 2 : total;
    const items = Array.from({ length: Math.min(params.limit, Math.max(0, all - params.offset)) }, (_, i) =>
      aRun({ id: of ? `${of}.${params.offset + i}` : `r${params.offset + i}` }),
    );
    return { items, total: all, counts: {}, owners: [] };
  };
  const source = new FakeSource({
    runs: (params: { offset?: number } & Asked) => answer({ ...params, offset: params.offset ?? 0 }),
    runGroups: (params: Asked) => {
      const { items, ...rest } = answer(params);
      const group = (id: string) => ({
        key: `sweep:${id}`,
        kind: 'sweep',
        name: id,
        where: `of=${id}`,
        runs: 3,
      });
      return { ...rest, rows: items.map(run => ({ run, group: group(run.id) })), runs: rest.total * 4 };
    },
  });
  return { source, asked, rows: new RunRows(source, { group: ['sweep'] }) };
}
const fold = (rows: RunRows, index: number, unfolded: boolean) => rows.fold(rows.at(index)!.group!, unfolded);
const ids = (rows: RunRows, first: number, end: number) =>
  Array.from({ length: end - first }, (_, i) => rows.at(first + i)?.run?.id);

it('asks for the windows in view alone, and once each', async () => {
  const { asked, rows } = served(10_000);
  await NOW();
  expect(rows.current().rows).toBe(10_000);
  rows.need(4990, 5040);
  rows.need(4995, 5045);
  await NOW();
  expect(asked.map(({ offset }) => offset)).toEqual([0, 4900, 5000]);
  expect(ids(rows, 5000, 5002)).toEqual(['r5000', 'r5001']);
  expect(rows.at(7000)).toBeUndefined();
});

it('asks again for what is in view when runs changed, and shows the old rows until then', async () => {
  const { asked, rows } = served(1000);
  await NOW();
  rows.need(500, 540);
  await NOW();
  asked.length = 0;
  rows.reload();
  expect(rows.at(500)?.run?.id).toBe('r500');
  await NOW();
  expect(asked.map(({ offset }) => offset)).toEqual([500]);
  rows.need(0, 40); // it was left out: it is asked for when it comes into view
  await NOW();
  expect(asked.map(({ offset }) => offset)).toEqual([500, 0]);
});

it('finds a row again after rows came above it, and what took its position when it is gone', async () => {
  const { rows } = served(5);
  await NOW();
  const third = rows.place(3);
  fold(rows, 1, true);
  expect(rows.find(third)).toBe(3); // the runs of the group are not there yet
  await NOW();
  expect(rows.find(third)).toBe(6);
  const child = rows.place(4);
  fold(rows, 0, true);
  await NOW();
  expect(rows.find(child)).toBe(7);
  expect(rows.find(third)).toBe(9);
  fold(rows, 4, false);
  expect(rows.find(third)).toBe(6);
  expect(rows.find(child)).toBe(4);
});

it('unfolds groups below their rows, several of them, and folds them again', async () => {
  const { rows } = served(5);
  await NOW();
  fold(rows, 1, true);
  fold(rows, 3, true);
  await NOW();
  expect(rows.current().rows).toBe(11);
  expect(ids(rows, 0, 11)).toEqual(
    ['r0', 'r1', 'r1.0', 'r1.1', 'r1.2', 'r2', 'r3', 'r3.0', 'r3.1', 'r3.2', 'r4'],
  ); // prettier-ignore
  expect(rows.at(2)).toMatchObject({ of: 'sweep:r1', group: null, unfolded: false });
  expect(rows.at(6)).toMatchObject({ of: null, unfolded: true });
  fold(rows, 1, false);
  expect(ids(rows, 0, 8)).toEqual(['r0', 'r1', 'r2', 'r3', 'r3.0', 'r3.1', 'r3.2', 'r4']);
});

it('asks for the windows of a long group as they come into view', async () => {
  const { asked, rows } = served(5, 450);
  await NOW();
  fold(rows, 2, true);
  await NOW();
  rows.need(300, 340);
  await NOW();
  expect(asked.filter(({ where }) => where).map(({ offset }) => offset)).toEqual([0, 200, 300]);
  expect(rows.at(303)?.run?.id).toBe('r2.300');
  expect(rows.at(453)?.run?.id).toBe('r3');
});

it('keeps the rows of before until those of another query are there, and says what is wrong with it', async () => {
  const { rows } = served(100);
  await NOW();
  rows.ask({ where: 'few' });
  expect([rows.current().rows, rows.current().loading]).toEqual([100, true]);
  await NOW();
  expect([rows.current().rows, rows.current().loading]).toEqual([2, false]);
  rows.ask({ where: 'wrong>' });
  await NOW();
  expect(rows.current()).toMatchObject({ rows: 2, error: 'The query cannot be read.' });
  rows.ask({});
  await NOW();
  expect(rows.current()).toMatchObject({ rows: 100, error: null });
});

it('gives the runs of a stretch, also of windows that nobody has seen, and of groups with their heads', async () => {
  const { source, rows } = served(1000);
  const plain = new RunRows(source, {});
  await NOW();
  const runs = await plain.range(50, 350);
  expect(runs).toHaveLength(300);
  expect(runs[299]!.id).toBe('r349');
  expect((await rows.range(0, 2)).map(run => run.id)).toEqual(
    ['r0', 'r0.0', 'r0.1', 'r0.2', 'r1', 'r1.0', 'r1.1', 'r1.2'],
  ); // prettier-ignore
});

it('asks for the runs of a group by the query of the list and its own', async () => {
  const { asked, rows } = served(2);
  await NOW();
  rows.ask({ group: ['sweep'], where: 'few' });
  await NOW();
  fold(rows, 0, true);
  await NOW();
  expect(asked.at(-1)!.where).toBe('few of=r0');
});
