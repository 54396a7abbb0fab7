// Which columns the table has and in which order: found by a word, switched on and off, moved by drag or Alt+arrows.
import { useState, type KeyboardEvent } from 'react';
import { plural } from '../ui/format';
import { Popover } from '../ui/popover';
import type { Column } from './columns';
import '../ui/inputs.css';
import './column_chooser.css';

interface Props {
  all: readonly Column[];
  /** Keys of those that are shown, in their order. */
  keys: readonly string[];
  /** Keys of those that are left out for want of room. One that is chosen stays. */
  lacking?: readonly string[];
  /** null: those that somebody gets who has chosen none. */
  onChange: (keys: readonly string[] | null) => void;
}

const MORE = 12; // columns that are not shown yet, before one asks for all of them

/** The list with the item of one place at another. */
export function moved<T>(items: readonly T[], from: number, to: number): T[] {
  const next = [...items];
  const [item] = next.splice(from, 1);
  if (item !== undefined) next.splice(Math.min(Math.max(0, to), next.length), 0, item);
  return next;
}

function Chooser({ all, keys, lacking = [], onChange }: Props) {
  const [text, setText] = useState('');
  const [whole, setWhole] = useState(false);
  const [dragged, setDragged] = useState<number | null>(null);
  const [said, setSaid] = useState('');
  const fits = (column: Column) => `${column.title} ${column.key}`.toLowerCase().includes(text.toLowerCase());
  const known = new Map(all.map(column => [column.key, column]));
  const on = keys.flatMap(key => known.get(key) ?? []);
  const off = all.filter(column => !keys.includes(column.key) && fits(column));
  const shown = whole || text ? off : off.slice(0, MORE);
  const move = (from: number, to: number) => {
    const next = moved(keys, from, to);
    onChange(next);
    setSaid(`${on[from]!.title}: place ${next.indexOf(on[from]!.key) + 1} of ${next.length}`);
  };
  const keyDown = (event: KeyboardEvent, index: number) => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by || !event.altKey) return;
    event.preventDefault();
    move(index, Math.min(Math.max(0, index + by), on.length - 1));
  };
  return (
    <div className="imgcls-columns">
      <input
        aria-label="Find a column or metric"
        placeholder="Find a column or metric"
        value={text}
        onChange={event => setText(event.target.value)}
      />
      <ul aria-label="Shown columns">
        {on.map((column, index) => (
          <li
            key={column.key}
            hidden={!fits(column)}
            draggable
            data-dragged={dragged === index || undefined}
            onDragStart={event => {
              event.dataTransfer.effectAllowed = 'move';
              setDragged(index);
            }}
            onDragOver={event => dragged !== null && event.preventDefault()}
            onDrop={event => {
              event.preventDefault();
              if (dragged !== null && dragged !== index) move(dragged, index);
              setDragged(null);
            }}
            onDragEnd={() => setDragged(null)}
            onKeyDown={event => keyDown(event, index)}
          >
            <label title="Alt+↑ and Alt+↓ move it">
              <input
                type="checkbox"
                checked
                onChange={() => onChange(keys.filter(key => key !== column.key))}
              />
              {column.title}
            </label>
            <span
              className="imgcls-columns-grip"
              aria-hidden="true"
              title="Drag to another place, or Alt+↑ Alt+↓"
            >
              ⋮⋮
            </span>
          </li>
        ))}
      </ul>
      <ul aria-label="Other columns">
        {shown.map(column => (
          <li key={column.key}>
            <label>
              <input type="checkbox" checked={false} onChange={() => onChange([...keys, column.key])} />
              {column.title}
            </label>
          </li>
        ))}
      </ul>
      {shown.length < off.length && (
        <button type="button" className="imgcls-plain" onClick={() => setWhole(true)}>
          {off.length - shown.length} more ↓
        </button>
      )}
      {lacking.length > 0 && (
        <p className="imgcls-muted">
          No room for {all.flatMap(({ key, title }) => (lacking.includes(key) ? [title] : [])).join(', ')}:
          widen the tab, or choose what you need.
        </p>
      )}
      <div className="imgcls-columns-foot">
        <span className="imgcls-muted">{plural(on.length, 'column')}; Alt+↑↓ or drag to order</span>
        <button type="button" className="imgcls-plain" onClick={() => onChange(null)}>
          Reset
        </button>
      </div>
      <span className="imgcls-sr" role="status">
        {said}
      </span>
    </div>
  );
}

export function ColumnChooser(props: Props) {
  const { all, lacking = [] } = props;
  const keys = props.keys.filter(key => !lacking.includes(key));
  return (
    <Popover end label={`columns ${keys.length} of ${all.length}`} title="Columns of the table">
      {() => <Chooser {...props} keys={keys} />}
    </Popover>
  );
}
