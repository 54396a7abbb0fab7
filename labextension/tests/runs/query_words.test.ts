// The words that people try in the box of filters, and what they mean.
import { expect, it } from 'vitest';
import { completed, type Vocabulary } from '../../src/views/runs/query_text';
import { meaningOf, proposals } from '../../src/views/runs/query_words';

const WORDS: Vocabulary = {
  fields: new Map([['weight_decay', { title: 'Weight decay', choices: [], numeric: true }]]),
  metrics: new Map([['best/metric/macro_f1', 'best macro F1']]),
  values: { state: ['failed', 'succeeded'], project: ['flowers', 'my birds'], tag: ['last try'] },
};
const meant = (text: string) => meaningOf(text, WORDS)?.term;
const proposed = (text: string) => proposals(text, WORDS).map(({ term }) => term);

it('knows times, states and comparisons by the words of people', () => {
  expect(meant('today')).toBe('created=today');
  expect(meant('Last  week')).toBe('created>7d');
  expect(meant('failed')).toBe('state=failed');
  expect(meant('lr above 1e-3')).toBe('lr>1e-3');
  expect(meant('weight decay at most 0.1')).toBe('weight_decay<=0.1');
  expect(meant('best macro f1 over 90%')).toBe('best/metric/macro_f1>90%');
});

it('leaves other words, names and conditions alone', () => {
  for (const text of ['', 'resnet', 'la', 'nothing above 3', '"today"', 'name=today', 'flowers'])
    expect(meant(text)).toBeUndefined();
});

it('takes the words at the end of a text and keeps what stands before them', () => {
  const found = meaningOf('resnet last week', WORDS)!;
  expect(completed('resnet last week', found)).toBe('resnet created>7d');
  const order = meaningOf('lr>1 best first', WORDS)!;
  expect([completed('lr>1 best first', order), order.sorting]).toEqual([
    'lr>1 ',
    { sort: 'best', order: 'desc' },
  ]);
});

it('proposes them while they are typed, and values without their key', () => {
  expect(proposed('las')).toEqual(expect.arrayContaining(['created>7d', 'created>30d', 'tag="last try"']));
  expect(proposed('last we')[0]).toBe('created>7d');
  expect(proposed('flow')).toContain('project=flowers');
  expect(proposed('my b')).toContain('project="my birds"');
  expect(proposed('')).toContain('lr>1e-3');
});
