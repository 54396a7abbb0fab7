// The text of a query as chips and back, and what is proposed while one types.
import { expect, it } from 'vitest';
import {
  completed,
  completions,
  isWhole,
  openTerm,
  quoted,
  termsOf,
  textOf,
  unquoted,
  type Vocabulary,
} from '../../src/views/runs/query_text';

const WORDS: Vocabulary = {
  fields: new Map([
    ['optimizer', { title: 'Optimizer', choices: ['sgd', 'adamw'], numeric: false }],
    ['weight_decay', { title: 'Weight decay', choices: [], numeric: true }],
  ]),
  metrics: new Map([['metric/macro_f1', 'macro F1']]),
  values: { state: ['live', 'running', 'succeeded'], project: ['birds', 'my birds'] },
};
const terms = (text: string) => completions(text, WORDS).map(({ term }) => term);

it('cuts a text into its terms, and gives the same text back', () => {
  const text = 'lr>0.005 name="two words" "a \\"quoted\\" word" state=running,failed flowers';
  expect(termsOf(text).map(({ key, op, value }) => [key, op, value])).toEqual([
    ['lr', '>', '0.005'],
    ['name', '=', '"two words"'],
    ['', '', '"a \\"quoted\\" word"'],
    ['state', '=', 'running,failed'],
    ['', '', 'flowers'],
  ]);
  expect(textOf(termsOf(text).map(term => term.text))).toBe(text);
  expect(termsOf('best >= 90%')[0]).toMatchObject({ key: 'best', op: '>=', value: '90%' });
});

it('keeps what cannot be read as it stands, so that the server can say what is wrong', () => {
  expect(termsOf('lr>1 name="open').map(term => term.text)).toEqual(['lr>1', 'name="open']);
});

it('does not ask for a term without its value, nor within an open quote', () => {
  for (const text of ['lr>', 'state=', 'a "b', 'name="x y', 'lr !=']) expect(isWhole(text)).toBe(false);
  for (const text of ['', 'lr', 'lr>1', '"a b"', 'x name="x y"']) expect(isWhole(text)).toBe(true);
});

it('quotes what would be read as something else', () => {
  expect(quoted('birds')).toBe('birds');
  expect(quoted('exp-*')).toBe('exp-*');
  expect(quoted('my "birds"')).toBe('"my \\"birds\\""');
  expect(quoted('a,b')).toBe('"a,b"');
  for (const text of ['my "birds"', 'back\\slash', 'a=b']) expect(unquoted(quoted(text))).toBe(text);
});

it('finds the term that is being typed', () => {
  expect(openTerm('lr>1 "a b" stat')).toEqual({ before: 'lr>1 "a b" ', key: 'stat', op: '', value: '' });
  expect(openTerm('name="my bi')).toEqual({ before: '', key: 'name', op: '=', value: '"my bi' });
});

it('proposes keys by their names and by what they mean', () => {
  expect(terms('sta')).toContain('state=');
  expect(terms('weig')).toEqual(['weight_decay>']);
  expect(terms('macro')).toEqual(['metric/macro_f1>']);
  expect(terms('made')).toEqual(['created>']); // by its note: when it was made
  expect(terms('')).toEqual([]);
});

it('proposes values, quoted where they need it, and what a time looks like', () => {
  expect(terms('state=r')).toEqual(['state=running']);
  expect(terms('optimizer=')).toEqual(['optimizer=sgd', 'optimizer=adamw']);
  expect(terms('project=my')).toEqual(['project="my birds"']);
  expect(terms('created>')).toEqual(['created>today', 'created>7d']);
  expect(terms('created=y')).toEqual(['created=yesterday']);
  expect(completed('lr>1 state=r', { term: 'state=running', note: '' })).toBe('lr>1 state=running');
});
