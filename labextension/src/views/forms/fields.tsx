// The controls of a form: a label above, what is wrong or worth knowing below.
import { useId, useState, type ReactNode } from 'react';
import { METRIC_TITLES } from '../data/types';
import type { Field } from './config_form';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/messages.css';
import './fields.css';

/** Words for switches that read better as a choice: [label, on, off]. */
const AS_CHOICE: Record<string, [string, string, string]> = {
  load_pretrained: ['Start from', 'pretrained weights', 'random weights'],
  freeze_backbone: ['Train', 'the head alone', 'the whole model'],
};

const CHOICE_WORDS: Record<string, Record<string, string>> = {
  device: { auto: 'next free GPU, else CPU', cuda: 'next free GPU', cpu: 'CPU' },
  monitor_metric: Object.fromEntries(
    Object.entries(METRIC_TITLES).map(([name, title]) => [name, `validation ${title}`]),
  ),
  hflip: { '': 'as the augmentation has it', true: 'half of them', false: 'none' },
  tta: { none: 'the image', hflip: 'the image and its mirror image', five_crop: 'centre and corners' },
};

const TRUTH_WORDS: Record<string, string> = { '': 'automatic', true: 'on', false: 'off' };
const OTHER = '\u0000'; // no name of a registry

interface LabelledProps {
  title: string;
  help?: string;
  note?: ReactNode;
  problem?: string;
  action?: ReactNode;
  children: (id: string, describedBy: string | undefined) => ReactNode;
}

/** A label, a control, and below it what is wrong, or else a note; an action stays whichever it is. */
export function Labelled({ title, help, note, problem, action, children }: LabelledProps) {
  const id = useId().replaceAll(':', ''); // as a selector takes it
  const below = problem ?? note;
  return (
    <div className={problem ? 'imgcls-field imgcls-field-wrong' : 'imgcls-field'}>
      <label htmlFor={id} title={help}>
        {title}
      </label>
      {children(id, below ? `${id}-note` : undefined)}
      {below && (
        <div
          id={`${id}-note`}
          className={problem ? 'imgcls-problem' : 'imgcls-hint'}
          role={problem ? 'alert' : undefined}
        >
          {below}
        </div>
      )}
      {action && <div className="imgcls-hint">{action}</div>}
    </div>
  );
}

interface InputProps {
  field: Field;
  value: string | boolean;
  problem?: string;
  note?: ReactNode;
  suggestions?: string[];
  onChange: (value: string | boolean) => void;
}

function SwitchField({ field, value, problem, note, onChange }: InputProps) {
  return (
    <div className="imgcls-field imgcls-field-switch">
      <label title={field.text}>
        <input
          type="checkbox"
          name={field.name}
          checked={value === true}
          onChange={e => onChange(e.target.checked)}
        />
        {field.title}
      </label>
      <div className={problem ? 'imgcls-problem' : 'imgcls-hint'}>{problem ?? note ?? field.text}</div>
    </div>
  );
}

interface ControlProps {
  id: string;
  described: string | undefined;
  field: Field;
  value: string | boolean;
  wrong: boolean;
  onChange: (value: string | boolean) => void;
}

/** The options of a choice, and of a switch that has words: [value, text]. */
function optionsOf(field: Field): [string, string][] {
  const words = AS_CHOICE[field.name];
  if (words) return [['true', words[1]], ['false', words[2]]]; // prettier-ignore
  return field.choices.map(choice => [
    choice,
    CHOICE_WORDS[field.name]?.[choice] ?? (field.truth ? (TRUTH_WORDS[choice] ?? choice) : choice),
  ]);
}

function ChoiceControl({ id, described, field, value, onChange }: ControlProps) {
  return (
    <select
      id={id}
      name={field.name}
      aria-describedby={described}
      value={String(value)}
      onChange={e => onChange(field.control === 'switch' ? e.target.value === 'true' : e.target.value)}
    >
      {optionsOf(field).map(([option, text]) => (
        <option key={option} value={option}>
          {text}
        </option>
      ))}
    </select>
  );
}

function TextControl(props: ControlProps & { suggestions: string[] }) {
  const { id, described, field, value, wrong, suggestions, onChange } = props;
  return (
    <>
      <input
        id={id}
        name={field.name}
        aria-describedby={described}
        aria-invalid={wrong}
        inputMode={field.control === 'number' ? (field.whole ? 'numeric' : 'decimal') : undefined}
        autoComplete="off"
        spellCheck={false}
        list={suggestions.length > 0 ? `${id}-list` : undefined}
        placeholder={field.nullable ? 'automatic' : undefined}
        value={String(value)}
        onChange={e => onChange(e.target.value)}
      />
      {suggestions.length > 0 && (
        <datalist id={`${id}-list`}>
          {suggestions.map(option => (
            <option key={option} value={option} />
          ))}
        </datalist>
      )}
    </>
  );
}

/** The control that a field of the schema asks for. */
export function FieldInput(props: InputProps) {
  const { field, value, problem, note, suggestions, onChange } = props;
  const words = AS_CHOICE[field.name];
  if (field.control === 'switch' && !words) return <SwitchField {...props} />;
  return (
    <Labelled title={words?.[0] ?? field.title} help={field.text} problem={problem} note={note}>
      {(id, described) => {
        const shared = { id, described, field, value, wrong: problem !== undefined, onChange };
        if (field.control === 'choice' || words) return <ChoiceControl {...shared} />;
        if (!suggestions && field.suggestions.length > 0) return <NameControl {...shared} />;
        return <TextControl {...shared} suggestions={suggestions ?? []} />;
      }}
    </Labelled>
  );
}

/** One of a registry's names, or the name that a plugin gives. */
function NameControl({ id, described, field, value: shown, wrong, onChange }: ControlProps) {
  const value = String(shown);
  const names = field.nullable ? ['', ...field.suggestions] : field.suggestions;
  const [asked, setAsked] = useState(false);
  const other = asked || !names.includes(value);
  return (
    <>
      <select
        id={id}
        name={other ? undefined : field.name}
        aria-describedby={described}
        value={other ? OTHER : value}
        onChange={event => {
          setAsked(event.target.value === OTHER);
          onChange(event.target.value === OTHER ? '' : event.target.value);
        }}
      >
        {names.map(name => (
          <option key={name} value={name}>
            {name || 'automatic'}
          </option>
        ))}
        <option value={OTHER}>a plugin’s…</option>
      </select>
      {other && (
        <input
          name={field.name}
          aria-label={`${field.title}: a plugin’s name`}
          aria-invalid={wrong}
          placeholder="the name that the plugin registers"
          autoComplete="off"
          spellCheck={false}
          autoFocus={asked}
          value={value}
          onChange={e => onChange(e.target.value)}
        />
      )}
    </>
  );
}
