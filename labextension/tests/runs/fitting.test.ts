import { expect, it } from 'vitest';
import { FIRST_COLUMNS, allColumns, chosenColumns } from '../../src/views/runs/columns';
import { fitted } from '../../src/views/runs/fitting';

const KEYS = [...FIRST_COLUMNS, 'batch_size', 'monitor', 'step', 'host', 'notes', 'message'];
const ALL = allColumns({
  columns: KEYS.filter(key => key !== 'curve').map(key => ({
    ...{
      key,
      label: { ran: 'time', created: 'made' }[key] ?? key,
      description: '',
      group: 'run',
      kind: 'number' as const,
    },
  })),
  groups: {},
  tags: [],
});
const first = chosenColumns(ALL, FIRST_COLUMNS, 'accuracy');
const at = (room: number, more = {}) =>
  fitted(first, { room, flexible: true, sorted: 'created', grouped: false, ...more });
const keysAt = (room: number, sorted = 'created', flexible = true) =>
  fitted(first, { room, flexible, sorted, grouped: false }).columns.map(({ key }) => key);
const widthsOf = (template: string) => [...template.matchAll(/ (\d+)px/g)].map(match => Number(match[1]));

it('leaves all as they are where there is room, and before it is known how much', () => {
  for (const room of [0, 2000]) {
    const fit = at(room);
    expect(fit.columns).toBe(first);
    expect(widthsOf(fit.template)).toEqual(first.map(({ width }) => Math.floor(width)));
    expect([fit.lacking, fit.tight]).toEqual([[], false]);
  }
});

it('makes columns narrower first, so that names are read', () => {
  const fit = at(1030);
  expect(fit.columns.map(({ key }) => key)).toEqual(FIRST_COLUMNS);
  expect([fit.lacking, fit.tight]).toEqual([[], false]);
  const widths = widthsOf(fit.template);
  expect(1030 - 30 - widths.reduce((sum, width) => sum + width, 0)).toBeGreaterThanOrEqual(230);
  expect(widths[FIRST_COLUMNS.indexOf('model')]).toBeGreaterThanOrEqual(97); // convnext-tiny
  expect(
    widths.every((width, place) => width >= Math.floor(first[place]!.least ?? first[place]!.width)),
  ).toBe(true);
  expect(fit.columns.find(({ key }) => key === 'best')!.title).toBe('best, %');
});

it('then leaves out those that nobody chose, never the one that sorts, and does not scroll sideways', () => {
  expect(keysAt(590)).toEqual(['state', 'model', 'lr', 'best', 'created']);
  expect(keysAt(590, 'size')).toContain('size');
  for (let room = 480; room < 1400; room += 10) {
    const fit = at(room);
    expect(fit.least).toBeLessThanOrEqual(room);
    expect([...fit.columns.map(({ key }) => key), ...fit.lacking].sort()).toEqual([...FIRST_COLUMNS].sort());
  }
});

it('keeps what was chosen: then the table scrolls', () => {
  expect(keysAt(590, 'created', false)).toEqual(FIRST_COLUMNS);
  expect(at(590, { flexible: false }).least).toBeGreaterThan(590);
});

it('keeps a range of learning rates whole, or leaves the column out', () => {
  const place = FIRST_COLUMNS.indexOf('lr');
  expect(widthsOf(at(1030).template)[place]).toBeLessThan(94);
  expect(widthsOf(at(1030, { grouped: true }).template)[place]).toBeGreaterThanOrEqual(94);
  expect(at(590, { grouped: true }).lacking).toContain('lr');
});
