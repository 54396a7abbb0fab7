import { act } from 'react';
import { beforeEach, expect, it, vi } from 'vitest';
import { ColumnChooser } from '../../src/views/runs/column_chooser';
import { allColumns } from '../../src/views/runs/columns';
import { host, root, stage } from '../stage';

stage();

const KEYS = ['state', 'model', 'lr', 'best', 'ran', 'batch_size'];
const ALL = allColumns({
  columns: KEYS.map(key => ({ key, label: key, description: '', group: 'run', kind: 'number' })),
  groups: {},
  tags: [],
});
const onChange = vi.fn();

async function open(keys: string[], lacking: string[] = []) {
  await act(async () => root.render(<ColumnChooser all={ALL} {...{ keys, lacking, onChange }} />));
  await act(async () => host.querySelector('button')!.click());
}
const list = (name: string) => [...host.querySelectorAll<HTMLElement>(`ul[aria-label="${name}"] li`)];
const titles = (name: string) =>
  list(name)
    .filter(item => !item.hidden)
    .map(item => item.textContent);
const item = (name: string, title: string) => list(name).find(each => each.textContent.startsWith(title))!;
const press = (key: string, on: HTMLElement, altKey = true) =>
  act(async () => void on.dispatchEvent(new KeyboardEvent('keydown', { key, altKey, bubbles: true })));
const drag = (kind: string, on: HTMLElement) =>
  act(async () => {
    const event = new Event(kind, { bubbles: true, cancelable: true });
    on.dispatchEvent(Object.assign(event, { dataTransfer: { effectAllowed: 'none' } }));
  });

beforeEach(() => onChange.mockReset());

it('switches columns on and off, and finds them by a word', async () => {
  await open(['state', 'lr']);
  await act(async () => item('Shown columns', 'lr').querySelector('input')!.click());
  expect(onChange).toHaveBeenLastCalledWith(['state']);
  const find = host.querySelector<HTMLInputElement>('[aria-label="Find a column or metric"]')!;
  await act(async () => {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(find, 'BATCH');
    find.dispatchEvent(new Event('input', { bubbles: true }));
  });
  expect(titles('Shown columns')).toEqual([]);
  expect(titles('Other columns')).toEqual(['batch']);
  await act(async () => item('Other columns', 'batch').querySelector('input')!.click());
  expect(onChange).toHaveBeenLastCalledWith(['state', 'lr', 'batch_size']);
});

it('moves a column by keys, no further than the ends, and says where it is', async () => {
  await open(['state', 'model', 'lr']);
  await press('ArrowUp', item('Shown columns', 'lr'));
  expect(onChange).toHaveBeenLastCalledWith(['state', 'lr', 'model']);
  expect(host.querySelector('[role=status]')!.textContent).toBe('lr: place 2 of 3');
  await press('ArrowUp', item('Shown columns', 'state'));
  expect(onChange).toHaveBeenLastCalledWith(['state', 'model', 'lr']);
  onChange.mockReset();
  await press('ArrowUp', item('Shown columns', 'lr'), false);
  expect(onChange).not.toHaveBeenCalled();
});

it('moves a column by dragging it onto the place of another', async () => {
  await open(['state', 'model', 'lr']);
  await drag('dragstart', item('Shown columns', 'state'));
  await drag('dragover', item('Shown columns', 'lr'));
  await drag('drop', item('Shown columns', 'lr'));
  expect(onChange).toHaveBeenLastCalledWith(['model', 'lr', 'state']);
});

it('names the columns that have no room, and takes the first ones again', async () => {
  await open(['state', 'lr', 'ran'], ['ran']);
  expect(titles('Shown columns').length).toBe(2);
  expect(host.textContent).toContain('No room for ran');
  await act(async () =>
    [...host.querySelectorAll('button')].find(each => each.textContent === 'Reset')!.click(),
  );
  expect(onChange).toHaveBeenLastCalledWith(null);
});
