// The controls of a form: a label above, what is wrong or worth knowing below.
import { useId, useState, type ReactNode } from 'react';
import { labelOf, type Field } from './config_form';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/messages.css';
import './fields.css';

const OTHER = '\u0000'; // no name of a registry

interface LabelledProps {
  title: string;
  /** What it means: shown when the reader asks. */
  help?: string;
  unit?: string | null;
  note?: ReactNode;
  problem?: string;
  action?: ReactNode;
  children: (id: string, describedBy: string | undefined) => ReactNode;
}

/** A label, a control, and below it what is wrong, or else a note; help and an action stay whichever it is. */
export function Labelled({ title, help, unit, note, problem, action, children }: LabelledProps) {
  const id = useId().replaceAll(':', ''); // as a selector takes it
  const [open, setOpen] = useState(false);
  const below = problem ?? note;
  const described = [below && `${id}-note`, help && open && `${id}-help`].filter(Boolean).join(' ');
  return (
    <div className={problem ? 'imgcls-field imgcls-field-wrong' : 'imgcls-field'}>
      <div className="imgcls-field-head">
        <label htmlFor={id}>
          {title}
          {unit && <span className="imgcls-unit"> in {unit}</span>}
        </label>
        {help && (
          <button
            type="button"
            className="imgcls-help-button"
            aria-label={`What “${title}” means`}
            aria-expanded={open}
            title={help}
            onClick={() => setOpen(was => !was)}
          >
            ?
          </button>
        )}
      </div>
      {children(id, described || undefined)}
      {below && (
        <div
          id={`${id}-note`}
          className={problem ? 'imgcls-problem' : 'imgcls-hint'}
          role={problem ? 'alert' : undefined}
        >
          {below}
        </div>
      )}
      {help && open && (
        <div id={`${id}-help`} className="imgcls-hint imgcls-help">
          {help}
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
  /** The reader has left the text. */
  onBlur?: () => void;
}

function SwitchField({ field, value, problem, note, onChange }: InputProps) {
  return (
    <div className="imgcls-field imgcls-field-switch">
      <label>
        <input
          type="checkbox"
          name={field.name}
          checked={value === true}
          onChange={e => onChange(e.target.checked)}
        />
        {field.title}
      </label>
      <div className={problem ? 'imgcls-problem' : 'imgcls-hint'}>{problem ?? field.text}</div>
      {note && <div className="imgcls-hint">{note}</div>}
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

const isNamedSwitch = (field: Field): boolean => field.control === 'switch' && 'true' in field.labels;

/** The options of a choice, and of a switch whose values have names. */
const optionsOf = (field: Field): string[] =>
  field.control === 'switch' ? ['true', 'false'] : field.choices;

function ChoiceControl({ id, described, field, value, onChange }: ControlProps) {
  return (
    <select
      id={id}
      name={field.name}
      aria-describedby={described}
      value={String(value)}
      onChange={e => onChange(field.control === 'switch' ? e.target.value === 'true' : e.target.value)}
    >
      {optionsOf(field).map(option => (
        <option key={option} value={option}>
          {labelOf(field, option)}
        </option>
      ))}
    </select>
  );
}

function TextControl(props: ControlProps & { suggestions: string[]; onBlur?: () => void }) {
  const { id, described, field, value, wrong, suggestions, onChange, onBlur } = props;
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
        placeholder={field.nullable || '' in field.labels ? labelOf(field, '') : undefined}
        value={String(value)}
        onChange={e => onChange(e.target.value)}
        onBlur={onBlur}
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
  const { field, value, problem, note, suggestions, onChange, onBlur } = props;
  if (field.control === 'switch' && !isNamedSwitch(field)) return <SwitchField {...props} />;
  return (
    <Labelled title={field.title} help={field.text} unit={field.unit} problem={problem} note={note}>
      {(id, described) => {
        const shared = { id, described, field, value, wrong: problem !== undefined, onChange };
        if (field.control !== 'number' && field.control !== 'text') return <ChoiceControl {...shared} />;
        if (!suggestions && field.suggestions.length > 0) return <NameControl {...shared} />;
        return <TextControl {...shared} suggestions={suggestions ?? []} onBlur={onBlur} />;
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
            {labelOf(field, name)}
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
