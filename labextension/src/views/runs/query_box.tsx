// The one box of filters: what is typed becomes chips. Their text, put together, is what REST, `imgcls-lab runs
// --where` and `lab.runs(where=...)` take.
import { useEffect, useId, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import type { ListView } from '../data/run_rows';
import { completed, isWhole, termsOf, textOf, type Completion, type Vocabulary } from './query_text';
import { meaningOf, proposals } from './query_words';
import '../ui/inputs.css';
import './query_box.css';

const TYPING = 120; // ms without a key before what is typed is looked for
const HELP =
  'Words are looked for in name, id, model, data and notes. Or conditions, which must all hold: lr>1e-3, ' +
  'batch_size=64, best>=90%, state=succeeded, project=birds, name=exp-*, notes:warm-up, created>7d, ran>2h, ' +
  'metric/macro_f1>0.8, and each field of a config: optimizer=sgd, freeze_backbone=true.';

/** Words that are looked for while one types them. */
const isWords = (text: string): boolean => isWhole(text) && termsOf(text).every(term => term.key === '');

interface Props {
  /** The query that the table shows. */
  text: string;
  words: Vocabulary;
  onChange: (text: string) => void;
  /** The list is ordered otherwise. */
  onSort: (sorting: ListView['sorting']) => void;
}

export function QueryBox({ text, words, onChange, onSort }: Props) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [draft, setDraft] = useState('');
  const [picked, setPicked] = useState(-1);
  const [closed, setClosed] = useState(true);
  const shown = useRef(text); // the query of the last render
  const sent = useRef<string[]>([]); // what the page was told since, the newest last: a busy page shows it later
  const [chips, setChips] = useState(() => termsOf(text).map(term => term.text));
  if (text !== shown.current) {
    shown.current = text;
    const told = sent.current.lastIndexOf(text);
    sent.current = told < 0 ? [] : sent.current.slice(told + 1);
    if (told < 0) {
      // another view, a menu: its terms are shown as chips
      setChips(termsOf(text).map(term => term.text));
      setDraft('');
    }
  }
  useEffect(() => {
    if (sent.current.at(-1) === text) sent.current = [];
  });
  const send = (whole: string) => {
    if (whole === (sent.current.at(-1) ?? shown.current)) return;
    sent.current.push(whole);
    onChange(whole);
  };
  const put = (terms: string[], rest = '') => {
    setChips(terms);
    setDraft(rest);
    setPicked(-1);
    setClosed(rest === '');
    send(textOf([...terms, isWords(rest) ? rest.trim() : '']));
  };
  const latest = useRef(send);
  latest.current = send;
  useEffect(() => {
    if (!isWords(draft)) return; // a condition is asked when it is complete: its writer says when
    const timer = setTimeout(() => latest.current(textOf([...chips, draft.trim()])), TYPING);
    return () => clearTimeout(timer);
  }, [draft, chips]);

  const found = useMemo(() => (closed ? [] : proposals(draft, words)), [closed, draft, words]);
  const type = (value: string) => {
    const terms = termsOf(value);
    const last = terms[terms.length - 1];
    if (/\s$/.test(value) && last?.key && isWhole(value)) {
      put([...chips, ...terms.map(term => term.text)]);
      setClosed(false);
      return;
    }
    setDraft(value);
    setPicked(-1);
    setClosed(false);
  };
  const take = (chosen: Completion) => {
    const next = completed(draft, chosen);
    if (chosen.sorting) {
      put([...chips, ...termsOf(next).map(term => term.text)]);
      onSort(chosen.sorting);
      return;
    }
    const terms = termsOf(next);
    if (isWhole(next) && terms[terms.length - 1]?.key) put([...chips, ...terms.map(term => term.text)]);
    else {
      setDraft(next);
      setPicked(-1);
      setClosed(false);
    }
    input.current?.focus();
  };
  const edit = (index: number) => {
    const others = chips.filter((_, i) => i !== index);
    setChips(draft.trim() ? [...others, ...termsOf(draft).map(term => term.text)] : others);
    setDraft(chips[index]!);
    setClosed(true);
    input.current?.focus();
  };
  const keyDown = (event: KeyboardEvent) => {
    const meant = meaningOf(draft, words);
    if (event.key === 'ArrowDown' && found.length === 0) setClosed(false);
    else if (event.key === 'ArrowDown') setPicked((picked + 1) % found.length);
    else if (event.key === 'ArrowUp') setPicked(picked <= 0 ? found.length - 1 : picked - 1);
    else if ((event.key === 'Enter' || event.key === 'Tab') && found[picked]) take(found[picked]);
    else if (event.key === 'Enter' && meant) take(meant);
    else if (event.key === 'Enter') put([...chips, ...termsOf(draft).map(term => term.text)]);
    else if (event.key === 'Escape' && found.length > 0) setClosed(true);
    else if (event.key === 'Escape' && draft) put(chips);
    else if (event.key === 'Backspace' && draft === '' && chips.length > 0) put(chips.slice(0, -1));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div className="imgcls-query" role="group" aria-label="Filters">
      <span className="imgcls-query-typed">
        <input
          ref={input}
          type="text"
          role="combobox"
          aria-label="Find runs"
          aria-expanded={found.length > 0}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={picked >= 0 ? `${id}-${picked}` : undefined}
          placeholder="Find, or type a filter"
          title={HELP}
          spellCheck={false}
          autoComplete="off"
          value={draft}
          onChange={event => type(event.target.value)}
          onKeyDown={keyDown}
          onFocus={() => setClosed(false)}
          onBlur={() => setClosed(true)}
        />
        <ul id={`${id}-list`} role="listbox" aria-label="Filters that fit" hidden={found.length === 0}>
          {found.map(({ term, note }, index) => (
            <li
              key={term}
              id={`${id}-${index}`}
              role="option"
              aria-selected={index === picked}
              onPointerDown={event => {
                event.preventDefault(); // the box keeps the focus
                take(found[index]!);
              }}
            >
              <span>{term}</span> <span className="imgcls-muted">{note === term ? '' : note}</span>
            </li>
          ))}
        </ul>
      </span>
      {chips.map((chip, index) => (
        <Chip
          key={`${index} ${chip}`}
          text={chip}
          onEdit={() => edit(index)}
          onRemove={() =>
            put(
              chips.filter((_, i) => i !== index),
              draft,
            )
          }
        />
      ))}
    </div>
  );
}

function Chip({ text, onEdit, onRemove }: { text: string; onEdit: () => void; onRemove: () => void }) {
  const [term] = termsOf(text);
  return (
    <span className="imgcls-query-chip" data-term={text}>
      <button type="button" title="Change this filter" onClick={onEdit}>
        {term?.key ? (
          <>
            {term.key} {term.op} <b>{term.value}</b>
          </>
        ) : (
          text
        )}
      </button>
      <button type="button" aria-label={`Remove ${text}`} onClick={onRemove}>
        <span aria-hidden="true">✕</span>
      </button>
    </span>
  );
}
