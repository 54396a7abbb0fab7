// The form of a batch: a notebook's parameters as it declares them. Launch queues it.
import { useMemo, useState } from 'react';
import { Labelled } from './fields';
import { textOf } from './config_form';
import { leaf, plural } from '../ui/format';
import { useQuery } from '../data/use_query';
import { Await, LaunchButton, ProjectChoice, RunName, useLaunch } from './launch';
import { Problem } from '../ui/messages';
import type { Notebook, Parameter } from '../data/types';
import '../ui/inputs.css';
import '../ui/layout.css';
import './form.css';

const EXAMPLES: Record<Parameter['kind'], string> = {
  int: 'a whole number',
  float: 'a number',
  str: 'a text',
  bool: '',
  list: 'a list, such as [1, 2]',
  dict: 'a mapping, such as {"lr": 0.001}',
  any: 'a value',
};

/** What was typed as a value of the parameter; a sentence where it is none. Empty means the default. */
export function valueOf(parameter: Parameter, text: string): { value?: unknown; problem?: string } {
  const typed = text.trim();
  if (typed === '') return {};
  if (typed === 'None' && parameter.optional) return { value: null };
  if (parameter.kind === 'str') return { value: text };
  const plain = { True: true, False: false }[typed];
  let value: unknown = plain;
  if (plain === undefined) {
    try {
      value = JSON.parse(typed);
    } catch {
      if (parameter.kind === 'any') return { value: text };
      return { problem: `This must be ${EXAMPLES[parameter.kind] || 'True or False'}.` };
    }
  }
  const fits = {
    int: Number.isInteger(value),
    float: typeof value === 'number',
    bool: typeof value === 'boolean',
    list: Array.isArray(value),
    dict: typeof value === 'object' && value !== null && !Array.isArray(value),
    any: true,
  }[parameter.kind];
  return fits ? { value } : { problem: `This must be ${EXAMPLES[parameter.kind] || 'True or False'}.` };
}

function Input({
  parameter,
  text,
  problem,
  onChange,
}: {
  parameter: Parameter;
  text: string;
  problem?: string;
  onChange: (text: string) => void;
}) {
  return (
    <Labelled title={parameter.name} problem={problem} note={parameter.help || undefined}>
      {(id, described) =>
        parameter.kind === 'bool' ? (
          <select
            id={id}
            name={parameter.name}
            aria-describedby={described}
            value={text}
            onChange={e => onChange(e.target.value)}
          >
            <option value="">{`as in the notebook: ${parameter.source}`}</option>
            <option>True</option>
            <option>False</option>
          </select>
        ) : (
          <input
            id={id}
            name={parameter.name}
            aria-describedby={described}
            value={text}
            placeholder={parameter.source}
            title={EXAMPLES[parameter.kind]}
            spellCheck={false}
            onChange={e => onChange(e.target.value)}
          />
        )
      }
    </Labelled>
  );
}

/** What the parameters cell computes without the values that were typed. */
export const unreached = (
  notebook: Pick<Notebook, 'parameters' | 'derived'>,
  values: Record<string, unknown>,
): string[] => {
  const changed = notebook.parameters
    .filter(
      ({ name, default: was }) => name in values && (was === null || textOf(was) !== textOf(values[name])),
    )
    .map(item => item.name);
  return notebook.derived
    .filter(({ name, sources }) => !(name in values) && sources.some(source => changed.includes(source)))
    .map(item => item.sentence);
};

/** What one has typed, and the values that it means. */
function useParameters(parameters: Parameter[]) {
  const [texts, setTexts] = useState<Record<string, string>>({});
  const { values, problems } = useMemo(() => {
    const values: Record<string, unknown> = {};
    const problems: Record<string, string> = {};
    for (const parameter of parameters) {
      const { value, problem } = valueOf(parameter, texts[parameter.name] ?? '');
      if (problem) problems[parameter.name] = problem;
      else if (value !== undefined) values[parameter.name] = value;
    }
    return { values, problems };
  }, [parameters, texts]);
  const type = (name: string, text: string) => setTexts(was => ({ ...was, [name]: text }));
  return { texts, type, values, problems };
}

function DeviceChoice({ value, onChange }: { value: string; onChange: (device: string) => void }) {
  return (
    <Labelled title="Device">
      {id => (
        <select id={id} name="run-device" value={value} onChange={e => onChange(e.target.value)}>
          <option value="auto">next free GPU, else CPU</option>
          <option value="cuda">next free GPU</option>
          <option value="cpu">CPU</option>
        </select>
      )}
    </Labelled>
  );
}

interface ParametersProps {
  parameters: Parameter[];
  texts: Record<string, string>;
  problems: Record<string, string>;
  onType: (name: string, text: string) => void;
}

function Parameters({ parameters, texts, problems, onType }: ParametersProps) {
  return (
    <fieldset>
      <legend>Parameters</legend>
      {parameters.length === 0 && (
        <p className="imgcls-muted">
          It declares none: tag one of its cells “parameters” and assign them there.
        </p>
      )}
      {parameters.map(parameter => (
        <Input
          key={parameter.name}
          parameter={parameter}
          text={texts[parameter.name] ?? ''}
          problem={problems[parameter.name]}
          onChange={text => onType(parameter.name, text)}
        />
      ))}
    </fieldset>
  );
}

interface Props {
  path: string;
  notebook: Notebook;
  onLaunched?: () => void;
}

function Form({ path, notebook, onLaunched }: Props) {
  const { parameters } = notebook;
  const { busy, error, launch } = useLaunch(onLaunched);
  const { texts, type, values, problems } = useParameters(parameters);
  const [name, setName] = useState('');
  const [project, setProject] = useState('');
  const [device, setDevice] = useState('auto');
  const wrong = Object.keys(problems).length;
  const submit = () =>
    launch('runNotebook', {
      path,
      parameters: values,
      name: name.trim() || null,
      project_id: project ? Number(project) : null,
      device,
    });
  return (
    <form
      className="imgcls-form"
      onSubmit={event => {
        event.preventDefault();
        if (!wrong && !busy) void submit();
      }}
    >
      <div className="imgcls-form-head">
        <h1>Run {leaf(path)} as a batch</h1>
      </div>
      <p className="imgcls-note">
        It is executed in the background as it is saved now, on a device of its own. What is left empty is as
        in the notebook.
      </p>
      <Parameters parameters={parameters} {...{ texts, problems }} onType={type} />
      <fieldset>
        <legend>Where</legend>
        <RunName
          title="Name of the run"
          note="the notebook’s if left empty"
          value={name}
          onChange={setName}
        />
        <DeviceChoice value={device} onChange={setDevice} />
        <ProjectChoice value={project} onChange={setProject} />
      </fieldset>
      {unreached(notebook, values).map(sentence => (
        <p key={sentence} className="imgcls-note" role="status">
          {sentence}
        </p>
      ))}
      <Problem>{error}</Problem>
      <div className="imgcls-buttons imgcls-form-foot">
        <LaunchButton busy={busy} disabled={wrong > 0} />
        {wrong > 0 && <span className="imgcls-note">{plural(wrong, 'value')} to correct, then launch.</span>}
      </div>
    </form>
  );
}

/** A notebook as a run: its form. */
export function NewNotebookRun({ path, onLaunched }: { path: string; onLaunched?: () => void }) {
  return (
    <Await answer={useQuery('notebook', { path })} pending="Reading the notebook…">
      {notebook => (
        <div className="imgcls-form-page">
          <Form path={path} notebook={notebook} onLaunched={onLaunched} />
        </div>
      )}
    </Await>
  );
}
