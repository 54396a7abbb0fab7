// The rows of the table of runs: windows that are asked for as they come into view, and groups that unfold.
import { expect, it } from 'vitest';
import { RunRows, type RowsQuery } from '../../src/views/data/run_rows';
import { FakeSource, aRun } from '../fake';

interface Asked {
  where?: string;
  offset: number;
  limit: number;
}
const NOW = () => new Promise(resolve => setTimeout(resolve));

/** A server with `total` runs r0, r1 ...; a query `of=rN` answers `children` runs of that group. */
function served(total: number, children = 3) {
  const asked: Asked[] = [];
  const source = new FakeSource({
    runs: (params: Asked) => {
      asked.push(params);
      if (params.where === 'wrong>') throw new Error('The query cannot be read.');
      const of = params.where?.startsWith('of=') ? params.where.slice(3) : null;
      const all = of ? children : params.where === 'few' ? 2 : total;
      const items = Array.from({ length: Math.min(params.limit, Math.max(0, all - params.offset)) }, (_, i) =>
        aRun({ id: of ? `${of}.${params.offset + i}` : `r${params.offset + i}` }),
      );
      return { items, total: all, counts: {}, owners: [] };
    },
  });
  const group = (run: { id: string }): RowsQuery | null =>
    run.id.includes('.') ? null : { where: `of=${run.id}` };
  return { source, asked, rows: new RunRows(source, {}, group) };
}
const ids = (rows: RunRows, first: number, end: number) =>
  Array.from({ length: end - first }, (_, i) => rows.at(first + i)?.run.id);

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
  expect(rows.at(500)?.run.id).toBe('r500');
  await NOW();
  expect(asked.map(({ offset }) => offset)).toEqual([500]);
  rows.need(0, 40); // it was left out: it is asked for when it comes into view
  await NOW();
  expect(asked.map(({ offset }) => offset)).toEqual([500, 0]);
});

it('unfolds groups below their rows, several of them, and folds them again', async () => {
  const { rows } = served(5);
  await NOW();
  rows.fold(rows.at(1)!.run, true);
  rows.fold(rows.at(3)!.run, true);
  await NOW();
  expect(rows.current().rows).toBe(11);
  expect(ids(rows, 0, 11)).toEqual(
    ['r0', 'r1', 'r1.0', 'r1.1', 'r1.2', 'r2', 'r3', 'r3.0', 'r3.1', 'r3.2', 'r4'],
  ); // prettier-ignore
  expect(rows.at(2)).toMatchObject({ group: 'r1', unfolded: false });
  expect(rows.at(6)).toMatchObject({ group: null, unfolded: true });
  rows.fold(rows.at(1)!.run, false);
  expect(ids(rows, 0, 8)).toEqual(['r0', 'r1', 'r2', 'r3', 'r3.0', 'r3.1', 'r3.2', 'r4']);
});

it('asks for the windows of a long group as they come into view', async () => {
  const { asked, rows } = served(5, 450);
  await NOW();
  rows.fold(rows.at(2)!.run, true);
  await NOW();
  rows.need(300, 340);
  await NOW();
  expect(asked.filter(({ where }) => where).map(({ offset }) => offset)).toEqual([0, 200, 300]);
  expect(rows.at(303)?.run.id).toBe('r2.300');
  expect(rows.at(453)?.run.id).toBe('r3');
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

it('gives the runs of a stretch, also of windows that nobody has seen', async () => {
  const { rows } = served(1000);
  await NOW();
  const runs = await rows.range(50, 350);
  expect(runs).toHaveLength(300);
  expect(runs[299]!.id).toBe('r349');
});
