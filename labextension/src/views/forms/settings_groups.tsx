// The settings that one needs seldom: folded by group, or those that some words find.
import { useState, type ReactNode } from 'react';
import { plural } from '../ui/format';
import {
  changed,
  found,
  shownFields,
  type Draft,
  type Field,
  type Layout,
  type Section,
} from './config_form';
import '../ui/messages.css';
import './fields.css';

type Wrong = Record<string, string>;

interface FoldedProps {
  section: Section;
  draft: Draft;
  wrong: Wrong;
  input: (field: Field) => ReactNode;
}

/** The settings of a group that have an effect. */
function Folded({ section: { title, fields }, draft, wrong, input }: FoldedProps) {
  const differing = changed({ title, fields }, draft);
  const isWrong = fields.some(field => wrong[field.name]);
  const settings = plural(fields.length, 'setting');
  return (
    <details open={isWrong || undefined}>
      <summary>
        {title} ·{' '}
        {isWrong ? (
          <span className="imgcls-problem">something is wrong here</span>
        ) : differing === 0 ? (
          `${settings} at ${fields.length === 1 ? 'its default' : 'their defaults'}`
        ) : (
          `${differing} of ${settings} changed`
        )}
      </summary>
      <div className="imgcls-fields">{fields.map(input)}</div>
    </details>
  );
}

interface Props {
  layout: Layout;
  draft: Draft;
  wrong: Wrong;
  input: (field: Field) => ReactNode;
}

/** What some words find. A setting without effect is shown, too: the reader looks for it. */
function Findings({ layout, words, input }: Pick<Props, 'layout' | 'input'> & { words: string }) {
  const above = found(layout, layout.first.flatMap(section => section.fields), words); // prettier-ignore
  const fields = found(layout, layout.more.flatMap(section => section.fields), words); // prettier-ignore
  return (
    <div role="region" aria-label="Settings that were found">
      <p className="imgcls-note" role="status">
        {fields.length === 0 && above.length === 0
          ? `No setting has to do with “${words}”. Try another word, such as “rate” or “memory”.`
          : `${plural(fields.length, 'setting')} found`}
        {above.length > 0 && `; above: ${above.map(field => field.title).join(', ')}`}
      </p>
      <div className="imgcls-fields">{fields.map(input)}</div>
    </div>
  );
}

export function SettingsGroups({ layout, draft, wrong, input }: Props) {
  const [words, setWords] = useState('');
  const shown = layout.more
    .map(section => ({ ...section, fields: shownFields(layout, draft, section.fields, wrong) }))
    .filter(section => section.fields.length > 0);
  return (
    <>
      <input
        type="search"
        className="imgcls-search"
        aria-label="Find a setting"
        placeholder="Find a setting: decay, memory, mixup …"
        value={words}
        onChange={event => setWords(event.target.value)}
        onKeyDown={event => {
          if (event.key === 'Enter') event.preventDefault(); // it launches nothing
          if (event.key === 'Escape') setWords('');
        }}
      />
      {words.trim() ? (
        <Findings {...{ layout, input }} words={words.trim()} />
      ) : (
        shown.map(section => <Folded key={section.title} {...{ section, draft, wrong, input }} />)
      )}
    </>
  );
}
