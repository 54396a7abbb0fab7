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

/** The control that a field of the schema asks for. */
export function FieldInput({ field, value, problem, note, suggestions, onChange }: InputProps) {
  const words = AS_CHOICE[field.name];
  const offered = suggestions ?? [];
  const shared = { title: words?.[0] ?? field.title, help: field.text, problem };
  if (field.control === 'switch' && !words) {
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
  if (field.control === 'switch') {
    return (
      <Labelled {...shared} note={note}>
        {(id, described) => (
          <select
            id={id}
            name={field.name}
            aria-describedby={described}
            value={value === true ? 'on' : 'off'}
            onChange={e => onChange(e.target.value === 'on')}
          >
            <option value="on">{words![1]}</option>
            <option value="off">{words![2]}</option>
          </select>
        )}
      </Labelled>
    );
  }
  if (field.control === 'choice') {
    return (
      <Labelled {...shared} note={note}>
        {(id, described) => (
          <select
            id={id}
            name={field.name}
            aria-describedby={described}
            value={String(value)}
            onChange={e => onChange(e.target.value)}
          >
            {field.choices.map(choice => (
              <option key={choice} value={choice}>
                {CHOICE_WORDS[field.name]?.[choice] ?? (field.truth ? TRUTH_WORDS[choice] : choice)}
              </option>
            ))}
          </select>
        )}
      </Labelled>
    );
  }
  if (!suggestions && field.suggestions.length > 0) {
    return (
      <Labelled {...shared} note={note}>
        {(id, described) => (
          <NameChoice
            {...{ id, described, field, onChange }}
            value={String(value)}
            wrong={problem !== undefined}
          />
        )}
      </Labelled>
    );
  }
  return (
    <Labelled {...shared} note={note}>
      {(id, described) => (
        <>
          <input
            id={id}
            name={field.name}
            aria-describedby={described}
            aria-invalid={problem !== undefined}
            inputMode={field.control === 'number' ? (field.whole ? 'numeric' : 'decimal') : undefined}
            autoComplete="off"
            spellCheck={false}
            list={offered.length > 0 ? `${id}-list` : undefined}
            placeholder={field.nullable ? 'automatic' : undefined}
            value={String(value)}
            onChange={e => onChange(e.target.value)}
          />
          {offered.length > 0 && (
            <datalist id={`${id}-list`}>
              {offered.map(option => (
                <option key={option} value={option} />
              ))}
            </datalist>
          )}
        </>
      )}
    </Labelled>
  );
}

interface NameProps {
  id: string;
  described: string | undefined;
  field: Field;
  value: string;
  wrong: boolean;
  onChange: (value: string) => void;
}

/** One of a registry's names, or the name that a plugin gives. */
function NameChoice({ id, described, field, value, wrong, onChange }: NameProps) {
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
