// Names for a legend: what all of them begin with stands once before it, what sets them apart stays readable. The still
// picture in a notebook does the same: widgets/short_names.py; tests/short_names.json holds what both come to. Letters
// are those that people see, not code units. Pure; no view.

const LEAST = 3; // letters of a setting's name

const size = (text: string) => [...text].length;

function withKey(word: string, letters: number): string {
  const at = word.indexOf('=');
  const key = [...word.slice(0, Math.max(0, at))];
  return key.length > letters ? `${key.slice(0, letters - 1).join('')}…${word.slice(at)}` : word;
}

/** A name of at most so many letters: `batch_size=64` keeps its value and loses of its key; else the middle goes. */
function fitted(name: string, most: number): string {
  if (size(name) <= most) return name;
  const words = name.split(' ');
  const longest = Math.max(...words.map(word => size(word.split('=')[0]!)));
  for (let letters = longest; letters >= LEAST; letters--) {
    const text = words.map(word => withKey(word, letters)).join(' ');
    if (size(text) <= most) return text;
  }
  const all = [...name];
  return [...all.slice(0, Math.floor((most - 1) / 2)), '…', ...all.slice(-Math.floor(most / 2))].join('');
}

/** The words that all begin with, and what else each is called; nothing and the names, where all have room. */
export function shortNames(names: readonly string[], most: number): [shared: string, short: string[]] {
  if (names.every(name => size(name) <= most)) return ['', [...names]];
  const words = names.map(name => name.split(' '));
  const least = Math.min(...words.map(each => each.length)) - 1;
  let shared = 0;
  while (names.length > 1 && shared < least && words.every(each => each[shared] === words[0]![shared]))
    shared++;
  return [
    words[0]!.slice(0, shared).join(' '),
    words.map(each => fitted(each.slice(shared).join(' '), most)),
  ];
}
