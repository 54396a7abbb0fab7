// Choosing the class of one image, or of several: a field that finds by typing, and a list that arrows walk.
import { useEffect, useId, useRef, useState } from 'react';
import { found } from './class_keys';
import './relabel_choice.css';

interface Props {
  names: readonly string[];
  /** What is relabelled: "3 images". */
  what: string;
  /** The class that stands first while nothing is typed. */
  suggested?: string;
  onChoose: (name: string) => void;
  onCancel: () => void;
}

const MOST = 50;

export function RelabelChoice({ names, what, suggested, onChoose, onCancel }: Props) {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const id = useId();
  const list = useRef<HTMLUListElement>(null);
  const ordered = suggested === undefined ? names : [suggested, ...names.filter(name => name !== suggested)];
  const shown = found(ordered, text).slice(0, MOST);
  const place = Math.min(at, shown.length - 1);
  useEffect(() => {
    list.current?.children[place]?.scrollIntoView?.({ block: 'nearest' });
  }, [place]);
  return (
    <div
      className="imgcls-relabel"
      role="dialog"
      aria-label={`Relabel ${what}`}
      onBlur={event => event.currentTarget.contains(event.relatedTarget as Node | null) || onCancel()}
      onKeyDown={event => {
        event.stopPropagation(); // what is typed is no key of the page
        if (event.key === 'Escape') onCancel();
        else if (event.key === 'ArrowDown') setAt(Math.min(shown.length - 1, place + 1));
        else if (event.key === 'ArrowUp') setAt(Math.max(0, place - 1));
        else if (event.key === 'Enter' && shown[place] !== undefined) onChoose(shown[place]);
        else return;
        event.preventDefault();
      }}
    >
      <input
        type="text"
        role="combobox"
        autoFocus
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={place >= 0 ? `${id}-${place}` : undefined}
        aria-label={`Class for ${what}`}
        placeholder={`Class for ${what}`}
        value={text}
        onChange={event => {
          setText(event.target.value);
          setAt(0);
        }}
      />
      <ul ref={list} id={id} role="listbox" aria-label="Classes">
        {shown.map((name, i) => (
          <li
            key={name}
            id={`${id}-${i}`}
            role="option"
            aria-selected={i === place}
            onMouseDown={event => event.preventDefault()}
            onClick={() => onChoose(name)}
          >
            {name}
          </li>
        ))}
      </ul>
      {shown.length === 0 && <p className="imgcls-muted">No class has “{text}” in its name.</p>}
    </div>
  );
}
