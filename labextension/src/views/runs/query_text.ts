// The text of a query, term by term: what the box of filters shows as chips. The language is that of `run_query.py`;
// here a text is only cut up and put together again, and the server says what is wrong with it. Pure; no view.
import type { ListView } from '../data/run_rows';
import { QUERY_COLUMNS } from '../data/types';

/** A term as it is written. `key` and `op` are empty for a word that is looked for. */
export interface Term {
  text: string;
  key: string;
  op: string;
  value: string;
}

const QUOTED = String.raw`"(?:[^"\\]|\\.)*"`;
const TERM = new RegExp(
  String.raw`\s*(?:([A-Za-z_][\w/.-]*)\s*(!=|>=|<=|=|>|<|:)\s*(${QUOTED}|[^\s"]+)|(${QUOTED}|[^\s"]+))(?=\s|$)`,
  'y',
);
const OPEN_TERM = /^([A-Za-z_][\w/.-]*)\s*(!=|>=|<=|=|>|<|:)\s*(.*)$/;

/** A text that is looked for as it is: in quotes where it would be read as something else. */
export const quoted = (text: string): string =>
  /^[^\s"=<>:!,\\]+$/.test(text) ? text : `"${text.replace(/[\\"]/g, '\\$&')}"`;

export const unquoted = (text: string): string =>
  text.startsWith('"') ? text.slice(1, text.endsWith('"') ? -1 : undefined).replace(/\\(.)/g, '$1') : text;

/** The terms of a text. What cannot be read, such as an open quote, is the last term as it stands. */
export function termsOf(text: string): Term[] {
  const terms: Term[] = [];
  let place = 0;
  const whole = text.trimEnd();
  while (place < whole.length) {
    TERM.lastIndex = place;
    const match = TERM.exec(whole);
    if (!match) {
      const rest = whole.slice(place).trim();
      terms.push({ text: rest, key: '', op: '', value: rest });
      break;
    }
    const [found, key = '', op = '', value, word] = match;
    terms.push({ text: found.trim(), key, op, value: value ?? word ?? '' });
    place = TERM.lastIndex;
  }
  return terms;
}

export const textOf = (terms: readonly string[]): string => terms.filter(Boolean).join(' ');

/** Whether a text can be asked as it stands: no quote is open, and the last term has its value. */
export function isWhole(text: string): boolean {
  const [last] = termsOf(text).slice(-1);
  if (!last || last.key) return true;
  return !/[=<>:!]$/.test(last.text) && (last.text.match(/(?<!\\)"/g) ?? []).length % 2 === 0;
}

/** The term that is being typed at the end of a text: what stands before it, its key, operator, and value so far. */
export function openTerm(text: string): { before: string; key: string; op: string; value: string } {
  let start = 0;
  let inQuotes = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '"' && text[i - 1] !== '\\') inQuotes = !inQuotes;
    else if (/\s/.test(text[i]!) && !inQuotes) start = i + 1;
  }
  const [before, last] = [text.slice(0, start), text.slice(start)];
  const match = OPEN_TERM.exec(last);
  return match
    ? { before, key: match[1]!, op: match[2]!, value: match[3]! }
    : { before, key: last, op: '', value: '' };
}

/** A proposal for the term that is being typed. */
export interface Completion {
  /** What the term is then; one that ends with an operator waits for its value. */
  term: string;
  /** What it means. */
  note: string;
  /** What stands before it in the text, where it is in place of several words. */
  before?: string;
  /** It is no term: it orders the list. */
  sorting?: ListView['sorting'];
}

/** What completions are made of. */
export interface Vocabulary {
  /** Config fields by name: their titles and values to choose of. */
  fields: ReadonlyMap<string, { title: string; choices: readonly string[]; numeric: boolean }>;
  /** Tags of metrics and their titles. */
  metrics: ReadonlyMap<string, string>;
  /** Values of columns: states, projects, owners, tags ... */
  values: Readonly<Partial<Record<string, readonly string[]>>>;
}

export const MOST = 9; // completions that are shown at once
const EXAMPLES: Record<string, [string, string][]> = {
  time: [
    ['=today', 'today'],
    ['=yesterday', 'yesterday'],
    ['>today', 'today'],
    ['>7d', 'in the last 7 days'],
    ['<30d', 'more than 30 days ago'],
  ],
  bytes: [
    ['>1GB', 'more than 1 GB'],
    ['<10MB', 'less than 10 MB'],
  ],
  seconds: [
    ['>1h', 'longer than an hour'],
    ['<10m', 'shorter than 10 minutes'],
  ],
};
const COLUMN_NOTES: Record<string, string> = {
  best: 'best value of the metric that decides',
  ran: 'time that it ran',
  created: 'when it was made',
  ended: 'when it ended',
  tag: 'a tag that it has',
  data: 'folder of the data',
  monitor: 'metric that decides which epoch is the best',
};

const kindOf = (key: string): string | undefined => (QUERY_COLUMNS as Record<string, string>)[key];

/** How a key is written when it is chosen: with the operator that is meant most often. */
function opened(key: string, words: Vocabulary): string {
  const kind = kindOf(key) ?? (words.metrics.has(key) || words.fields.get(key)?.numeric ? 'number' : 'text');
  if (kind === 'number' || kind === 'time' || kind === 'seconds' || kind === 'bytes') return `${key}>`;
  return key === 'notes' || key === 'message' ? `${key}:` : `${key}=`;
}

/** Those that begin with what is typed, then those that hold it. */
function closest<T>(items: readonly T[], typed: string, text: (item: T) => string): T[] {
  const small = typed.toLowerCase();
  const rank = (item: T) => text(item).toLowerCase().indexOf(small);
  return items.filter(item => rank(item) >= 0).sort((a, b) => Math.min(rank(a), 1) - Math.min(rank(b), 1));
}

/** Proposals for the end of a text. */
export function completions(text: string, words: Vocabulary): Completion[] {
  const { key, op, value } = openTerm(text);
  if (op) return valuesFor(key, op, unquoted(value), words);
  if (!key) return [];
  const keys: [string, string][] = [
    ...Object.keys(QUERY_COLUMNS).map((name): [string, string] => [name, COLUMN_NOTES[name] ?? name]),
    ...[...words.fields].map(([name, field]): [string, string] => [name, field.title]),
    ...[...words.metrics].map(([tag, title]): [string, string] => [tag, title]),
  ];
  const known = new Set<string>();
  return closest(keys, key, ([name, note]) => `${name} ${note}`)
    .filter(([name]) => !known.has(name) && known.add(name))
    .slice(0, MOST)
    .map(([name, note]) => ({ term: opened(name, words), note }));
}

function valuesFor(key: string, op: string, typed: string, words: Vocabulary): Completion[] {
  const field = words.fields.get(key);
  const kind = kindOf(key);
  const examples = kind && EXAMPLES[kind];
  if (examples)
    return examples
      .filter(([text]) => text !== op + typed && text.startsWith(op + typed))
      .map(([text, note]) => ({ term: key + text, note }));
  const known = words.values[key] ?? field?.choices ?? [];
  return closest(known, typed, item => item)
    .filter(item => item !== typed)
    .slice(0, MOST)
    .map(item => ({ term: `${key}${op}${quoted(item)}`, note: '' }));
}

/** A text in which a completion stands in place of the term that was being typed. */
export const completed = (text: string, { term, before, sorting }: Completion): string =>
  (before ?? openTerm(text).before) + (sorting ? '' : term);
