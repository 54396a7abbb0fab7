// Words that people type where they mean a condition: last week, failed, lr above 1e-3, best first. They are proposed, and
// taken at Enter where they are exactly what was typed; in quotes they are looked for as any other word. Pure; no view.
import { QUERY_COLUMNS } from '../data/types';
import { MOST, completions, quoted, type Completion, type Vocabulary } from './query_text';

type Phrase = Pick<Completion, 'term' | 'note' | 'sorting'> & { said: readonly string[] };

const sorted = (sort: string, order: 'asc' | 'desc', note: string, ...said: string[]): Phrase => ({
  term: said[0]!,
  note,
  said,
  sorting: { sort, order },
});
const means = (term: string, note: string, ...said: string[]): Phrase => ({ term, note, said });

const PHRASES: readonly Phrase[] = [
  means('created=today', 'made today', 'today'),
  means('created=yesterday', 'made yesterday', 'yesterday'),
  means(
    'created>7d',
    'made in the last 7 days',
    'last week',
    'past week',
    'this week',
    'week',
    'last 7 days',
  ),
  means('created>30d', 'made in the last 30 days', 'last month', 'past month', 'this month', 'month'),
  means('created>1h', 'made in the last hour', 'last hour', 'past hour', 'hour'),
  means('created<30d', 'made more than 30 days ago', 'old', 'older than a month'),
  means('state=ended', 'runs that have ended', 'finished', 'done'),
  means('state=failed', 'runs that failed', 'crashed', 'error', 'broken'),
  means('state=queued', 'runs that wait', 'waiting', 'pending'),
  means('state=live', 'runs that train now', 'training', 'in progress'),
  means('archived=true', 'archived runs', 'archive', 'hidden'),
  means('size>1GB', 'folder of more than 1 GB', 'big', 'large'),
  sorted('best', 'desc', 'the best value first', 'best first', 'best run', 'best runs', 'highest', 'top'),
  sorted('created', 'desc', 'the newest first', 'newest first', 'newest', 'latest', 'recent'),
  sorted('size', 'desc', 'the largest first', 'largest first', 'largest', 'biggest'),
  sorted('ran', 'desc', 'the longest first', 'longest first', 'longest', 'slowest'),
];

/** What one could begin with, while nothing is typed. */
const BEGINNINGS: readonly Completion[] = [
  { term: 'lr>1e-3', note: 'learning rate above 0.001' },
  { term: 'best>90%', note: 'best value above 90 %' },
  { term: 'state=failed', note: 'runs that failed' },
  { term: 'created>7d', note: 'made in the last 7 days' },
  { term: 'tag=', note: 'a tag that it has' },
  { term: 'best first', note: 'the best value first', sorting: { sort: 'best', order: 'desc' } },
];

const OPERATORS: Record<string, string> = {
  above: '>', over: '>', 'greater than': '>', 'more than': '>', 'higher than': '>', 'at least': '>=',
  below: '<', under: '<', 'less than': '<', 'lower than': '<', 'at most': '<=',
}; // prettier-ignore
const COMPARED = new RegExp(`^(.+?) (${Object.keys(OPERATORS).join('|')}) (\\S+)$`);
const NAMED = ['state', 'project', 'tag', 'owner'] as const; // whose values are proposed without their key
const LEAST = 2; // letters before that
const SOME = 4; // of them

/** The ends of a text that are whole words, the longest first, with what stands before each. */
function tails(text: string): [before: string, tail: string][] {
  const found: [string, string][] = [];
  for (const match of text.matchAll(/(?<=^|\s)\S/g)) {
    const tail = text.slice(match.index).trimEnd();
    if (!/["=<>!:]/.test(tail))
      found.push([text.slice(0, match.index), tail.toLowerCase().replace(/\s+/g, ' ')]);
  }
  return found;
}

/** "learning rate above 1e-3" as a term. */
function compared(tail: string, words: Vocabulary): Completion | undefined {
  const [, name, word, value] = COMPARED.exec(tail) ?? [];
  if (!name || !word || !value) return undefined;
  const titled = [...words.fields, ...[...words.metrics].map(([tag, title]) => [tag, { title }] as const)];
  const key =
    name in QUERY_COLUMNS || words.fields.has(name) || words.metrics.has(name)
      ? name
      : titled.find(([, { title }]) => title.toLowerCase() === name)?.[0];
  return key === undefined ? undefined : { term: `${key}${OPERATORS[word]}${value}`, note: tail };
}

/** What is proposed for the end of a text: what its words mean, then keys and values. */
export function proposals(text: string, words: Vocabulary): Completion[] {
  if (!text.trim()) return [...BEGINNINGS];
  const found = wordsFor(text, words);
  const known = new Set(found.map(({ term }) => term));
  return [...found, ...completions(text, words).filter(({ term }) => !known.has(term))].slice(0, MOST);
}

function wordsFor(text: string, words: Vocabulary): Completion[] {
  for (const [before, tail] of tails(text)) {
    const found: Completion[] = PHRASES.filter(({ said }) => said.some(each => each.startsWith(tail))).map(
      ({ term, note, sorting }) => ({ term, note, before, sorting }),
    );
    const comparison = compared(tail, words);
    if (comparison) found.unshift({ ...comparison, before });
    if (tail.length >= LEAST)
      for (const key of NAMED)
        for (const value of (words.values[key] ?? [])
          .filter(each => each.toLowerCase().startsWith(tail))
          .slice(0, SOME))
          found.push({ term: `${key}=${quoted(value)}`, note: '', before });
    const known = new Set<string>();
    const distinct = found.filter(({ term }) => !known.has(term) && known.add(term));
    if (distinct.length > 0) return distinct;
  }
  return [];
}

/** What the end of a text means where it is exactly one of these words. */
export function meaningOf(text: string, words: Vocabulary): Completion | undefined {
  for (const [before, tail] of tails(text)) {
    const phrase = PHRASES.find(({ said }) => said.includes(tail));
    if (phrase) return { term: phrase.term, note: phrase.note, before, sorting: phrase.sorting };
    const comparison = compared(tail, words);
    if (comparison) return { ...comparison, before };
    if (words.values.state?.includes(tail)) return { term: `state=${tail}`, note: '', before };
  }
  return undefined;
}
