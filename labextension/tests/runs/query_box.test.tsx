// The box of filters: what is typed becomes chips, which are changed, removed and put together again.
import { act, useState } from 'react';
import { expect, it } from 'vitest';
import { QueryBox } from '../../src/views/runs/query_box';
import type { Vocabulary } from '../../src/views/runs/query_text';
import { host, root, stage } from '../stage';

stage();

const WORDS: Vocabulary = {
  fields: new Map(),
  metrics: new Map(),
  values: { state: ['running', 'succeeded'] },
};
let text = '';
let order = '';

function Host({ start }: { start: string }) {
  const [where, setWhere] = useState(start);
  text = where;
  return (
    <>
      <QueryBox text={where} words={WORDS} onChange={setWhere} onSort={({ sort }) => (order = sort)} />
      <button type="button" data-other onClick={() => setWhere('project=birds')} />
    </>
  );
}

const show = (start = '') => act(async () => root.render(<Host start={start} />));
const box = () => host.querySelector<HTMLInputElement>('input')!;
const chips = () => [...host.querySelectorAll('[data-term]')].map(chip => chip.getAttribute('data-term'));
const type = (value: string) =>
  act(async () => {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(box(), value);
    box().dispatchEvent(new Event('input', { bubbles: true }));
  });
const press = (key: string) =>
  act(
    async () =>
      void box().dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true })),
  );
const click = (element: Element) => act(async () => (element as HTMLElement).click());

it('makes a chip of a condition at Enter or a space, and none of a word before Enter', async () => {
  await show();
  await type('lr>0.01');
  expect([chips(), text]).toEqual([[], '']); // not asked while it is being typed
  await press('Enter');
  expect([chips(), text, box().value]).toEqual([['lr>0.01'], 'lr>0.01', '']);
  await type('best>90% ');
  expect([chips(), text]).toEqual([['lr>0.01', 'best>90%'], 'lr>0.01 best>90%']);
  await type('two words ');
  expect(chips()).toHaveLength(2);
  await press('Enter');
  expect(text).toBe('lr>0.01 best>90% two words');
});

/** A page that is busy: what the box tells it is shown 50 ms later, and the box may be drawn meanwhile. */
function Busy() {
  const [where, setWhere] = useState('');
  text = where;
  const later = (told: string) => void setTimeout(() => act(() => setWhere(told)), 50);
  return <QueryBox text={where} words={WORDS} onChange={later} onSort={() => undefined} />;
}

const wait = (ms: number) => act(() => new Promise(resolve => setTimeout(resolve, ms)));

it('keeps what is typed while a busy page has yet to show what was typed before', async () => {
  await act(async () => root.render(<Busy />));
  await type('l');
  await wait(140); // it is looked for
  await type('lr');
  expect(box().value).toBe('lr');
  await wait(60); // the page shows the first letter
  expect([box().value, chips()]).toEqual(['lr', []]);
  await type('lr above 1e-3');
  await press('Enter');
  await wait(200);
  expect([chips(), text, box().value]).toEqual([['lr>1e-3'], 'lr>1e-3', '']);
});

it('changes a chip by a click, removes one by its button, the last one by Backspace', async () => {
  await show('lr>0.01 best>90% state=running');
  await click(host.querySelector('[data-term="lr>0.01"] button')!);
  expect([chips(), box().value]).toEqual([['best>90%', 'state=running'], 'lr>0.01']);
  await type('lr>0.02');
  await press('Enter');
  expect(text).toBe('best>90% state=running lr>0.02');
  await click(host.querySelector('[aria-label="Remove best>90%"]')!);
  expect(text).toBe('state=running lr>0.02');
  await press('Backspace');
  expect([chips(), text]).toEqual([['state=running'], 'state=running']);
});

it('takes a proposal by keys, and one that waits for its value stays in the box', async () => {
  await show();
  await type('stat');
  await press('ArrowDown');
  await press('Enter');
  expect([box().value, text]).toEqual(['state=', '']);
  await press('ArrowDown');
  await press('Tab');
  expect([chips(), text]).toEqual([['state=running'], 'state=running']);
});

it('takes the words that people try for conditions, and orders by “best first”', async () => {
  await show();
  await type('lr above 1e-3');
  await press('Enter');
  await type('last week');
  await press('Enter');
  expect([chips(), text]).toEqual([['lr>1e-3', 'created>7d'], 'lr>1e-3 created>7d']);
  await type('best first');
  await press('Enter');
  expect([text, order, box().value]).toEqual(['lr>1e-3 created>7d', 'best', '']);
});

it('shows examples when it is entered, and while nothing is typed they are taken by keys', async () => {
  await show();
  await act(async () => box().focus());
  expect(host.querySelectorAll('[role=option]').length).toBeGreaterThan(4);
  await press('ArrowDown');
  await press('Enter');
  expect(text).toBe('lr>1e-3');
});

it('shows the query that another view sets', async () => {
  await show('lr>1');
  await type('half');
  await click(host.querySelector('[data-other]')!);
  expect([chips(), box().value]).toEqual([['project=birds'], '']);
});
