// The rows of a sweep's form: a setting, and the values that it takes.
import { useRef, useState } from 'react';
import { Button } from '../ui/button';
import { parameterText } from '../ui/format';
import { Labelled } from './fields';
import { labelOf, textOf, type Field } from './config_form';
import { itemOf, type Item } from './sweep_space';
import '../ui/inputs.css';
import './sweep_space_fields.css';

export interface Row {
  id: number;
  name: string;
  text: string;
}

/** The rows that one has typed, and what they mean. `kinds`: of the values that a setting takes; null: any. */
export function useSpace(names: string[], kinds: (name: string) => string[] | null) {
  const serial = useRef(1);
  const [rows, setRows] = useState<Row[]>([{ id: 0, name: 'lr', text: '' }]);
  const read = rows.map(row => ({ row, ...itemOf(row.text, kinds(row.name)) }));
  const space: Record<string, Item> = Object.fromEntries(
    read.flatMap(({ row, item }) => (row.name && item ? [[row.name, item]] : [])),
  );
  return {
    read,
    space,
    /** Each row has a setting of its own and can be read. */
    complete:
      read.every(({ row, item }) => row.name && item) &&
      new Set(rows.map(row => row.name)).size === rows.length,
    put: (id: number, part: Partial<Row>) =>
      setRows(was => was.map(row => (row.id === id ? { ...row, ...part } : row))),
    add: () =>
      setRows(was => {
        const name = names.find(item => !was.some(row => row.name === item)) ?? '';
        return [...was, { id: serial.current++, name, text: '' }];
      }),
    remove: (id: number) => setRows(was => was.filter(row => row.id !== id)),
  };
}

type Space = ReturnType<typeof useSpace>;

interface RowProps {
  row: Row;
  problem: string | undefined;
  names: string[];
  base: Record<string, unknown>;
  /** The settings by name; a notebook's parameters have names alone. */
  fields?: Map<string, Field>;
  onChange: (part: Partial<Row>) => void;
  /** Not for the only row. */
  onRemove: (() => void) | undefined;
}

/** What a setting is now, and which values it may have. */
function hereText(field: Field | undefined, value: unknown): string {
  const here = field ? labelOf(field, textOf(value)) : parameterText(value);
  const options = field && [...field.choices, ...field.suggestions].filter(Boolean);
  return [`here ${here}`, options?.length ? `may be ${options.join(', ')}` : field?.limits]
    .filter(Boolean)
    .join(' · ');
}

function SpaceRow({ row, problem, names, base, fields, onChange, onRemove }: RowProps) {
  const titleOf = (name: string) => fields?.get(name)?.title ?? name;
  const sorted = fields ? [...names].sort((a, b) => titleOf(a).localeCompare(titleOf(b))) : names;
  return (
    <div className="imgcls-space-row">
      <Labelled
        title="Setting"
        note={row.name in base ? hereText(fields?.get(row.name), base[row.name]) : undefined}
      >
        {id => (
          <select
            id={id}
            name="sweep-name"
            value={row.name}
            onChange={e => onChange({ name: e.target.value })}
          >
            {!names.includes(row.name) && <option value={row.name}>{titleOf(row.name)}</option>}
            {sorted.map(item => (
              <option key={item} value={item}>
                {titleOf(item)}
              </option>
            ))}
          </select>
        )}
      </Labelled>
      <Labelled title="Values" problem={row.text ? problem : undefined} note="1e-4, 1e-3 or 1e-5 .. 1e-2 log">
        {(id, described) => (
          <input
            id={id}
            name="sweep-values"
            aria-describedby={described}
            value={row.text}
            spellCheck={false}
            onChange={e => onChange({ text: e.target.value })}
          />
        )}
      </Labelled>
      {onRemove && (
        <Button aria-label={`Take ${titleOf(row.name)} out`} onClick={onRemove}>
          ✕
        </Button>
      )}
    </div>
  );
}

interface Props {
  space: Space;
  names: string[];
  /** The values that all trials share. */
  base: Record<string, unknown>;
  fields?: Map<string, Field>;
  /** What the server says of a setting's values. */
  wrong?: Record<string, string>;
}

export function SpaceFields({ space: { read, put, add, remove }, names, base, fields, wrong = {} }: Props) {
  return (
    <fieldset>
      <legend>Over what</legend>
      {read.map(({ row, problem }) => (
        <SpaceRow
          key={row.id}
          {...{ row, names, base, fields }}
          problem={problem ?? wrong[row.name]}
          onChange={part => put(row.id, part)}
          onRemove={read.length > 1 ? () => remove(row.id) : undefined}
        />
      ))}
      <div className="imgcls-space-more">
        <Button onClick={add}>One more setting</Button>
      </div>
    </fieldset>
  );
}
