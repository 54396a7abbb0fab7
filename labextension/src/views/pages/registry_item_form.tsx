// The form of an item of a registry: a new one, or one that is there.
import { useState, type ReactNode } from 'react';
import { mutate } from '../data/mutate';
import type { RegistryName } from '../data/asked';
import { useSource } from '../data/source';
import { useAction } from '../data/use_query';
import { Labelled } from '../forms/fields';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import { KINDS, type Input, type Item } from './registry_kinds';
import '../ui/inputs.css';
import '../forms/inline_form.css';

type Values = Record<string, string | boolean>;

const asText = (input: Input, value: unknown): string | boolean =>
  input.kind === 'switch'
    ? value !== false
    : input.kind === 'json'
      ? JSON.stringify(value ?? {}, null, 2)
      : String(value ?? '');

/** The edit that a form's values mean. Raises SyntaxError, with a sentence, for JSON that is none. */
function editOf(inputs: Input[], values: Values): Record<string, unknown> {
  const edit: Record<string, unknown> = {};
  for (const { name, title, kind } of inputs) {
    const value = values[name];
    if (kind === 'switch') edit[name] = value;
    else if (kind === 'number') edit[name] = value === '' ? null : Number(value);
    else if (kind === 'json') {
      try {
        edit[name] = JSON.parse(String(value));
      } catch (error) {
        throw new SyntaxError(`${title} is not valid JSON: ${(error as Error).message}`, { cause: error });
      }
    } else if (name === 'revision') edit[name] = String(value).trim() || null;
    else edit[name] = name === 'description' ? value : String(value).trim();
  }
  return edit;
}

interface ControlProps {
  input: Input;
  value: string | boolean | undefined;
  first: boolean;
  onChange: (value: string | boolean) => void;
}

function Control({ input: { name, title, note, kind }, value, first, onChange }: ControlProps) {
  if (kind === 'switch') {
    return (
      <label className="imgcls-switch">
        <input
          type="checkbox"
          name={name}
          checked={value === true}
          onChange={e => onChange(e.target.checked)}
        />
        {title}
      </label>
    );
  }
  const control = (id: string): ReactNode => {
    const shared = {
      id,
      name,
      value: String(value),
      autoFocus: first,
      spellCheck: kind === 'area',
      onChange: (e: { target: { value: string } }) => onChange(e.target.value),
    };
    if (kind === 'area') return <textarea rows={2} {...shared} />;
    if (kind === 'json') return <textarea rows={10} className="imgcls-mono" {...shared} />;
    return <input {...shared} {...(kind === 'number' ? { type: 'number', min: 0, step: 1 } : {})} />;
  };
  return (
    <Labelled title={title} note={note}>
      {control}
    </Labelled>
  );
}

interface Props {
  registry: RegistryName;
  item: Item | null;
  onDone: () => void;
  onCancel: () => void;
}

export function ItemForm({ registry, item, onDone, onCancel }: Props) {
  const source = useSource();
  const { inputs, add } = KINDS[registry];
  const [values, setValues] = useState<Values>(() =>
    Object.fromEntries(inputs.map(input => [input.name, asText(input, item?.[input.name])])),
  );
  const { busy, error, act } = useAction();
  const missing = inputs.some(
    ({ name, kind, optional }) =>
      !optional && kind !== 'switch' && kind !== 'area' && !String(values[name]).trim(),
  );
  const save = () =>
    act('save', async () => {
      const edit = editOf(inputs, values);
      if (!item) return mutate(source, `${registry}.add`, { edit: edit as never });
      const kept = registry === 'configs' ? { project_id: item.project_id } : {};
      return mutate(source, `${registry}.edit`, { id: item.id, edit: { ...kept, ...edit } as never });
    });
  return (
    <form
      className="imgcls-inline-form"
      aria-label={item ? `Edit ${item.name}` : add.replace('…', '')}
      onSubmit={event => {
        event.preventDefault();
        if (!missing) void save().then(done => done && onDone());
      }}
    >
      {inputs.map((input, i) => (
        <Control
          key={input.name}
          input={input}
          value={values[input.name]}
          first={i === 0}
          onChange={value => setValues({ ...values, [input.name]: value })}
        />
      ))}
      <Problem>{error}</Problem>
      <div className="imgcls-buttons">
        <Button type="submit" busy={busy !== null} disabled={missing}>
          {item ? 'Save' : 'Add'}
        </Button>
        <Button onClick={onCancel}>Cancel</Button>
      </div>
    </form>
  );
}
