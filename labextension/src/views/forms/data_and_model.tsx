// What a new run trains, and on which images: fields whose values come from the registries.
import { useState, type ReactNode } from 'react';
import type { Dataset, Model } from '../data/types';
import type { Field } from './config_form';
import { FieldInput, Labelled } from './fields';
import { RegisterFolder, datasetText } from './register_dataset';
import { modelCalled, type DraftState } from './use_draft';
import { PathText } from '../ui/path_text';
import '../ui/inputs.css';
import '../ui/button.css';

interface DatasetProps {
  field: Field;
  root: string;
  datasets: Dataset[];
  problem: string | undefined;
  action: ReactNode;
  onChange: (root: string) => void;
}

function DatasetField({ field, root, datasets, problem, action, onChange }: DatasetProps) {
  const dataset = datasets.find(item => item.root === root);
  return (
    <Labelled
      title={field.title}
      help={field.text}
      problem={root ? problem : undefined}
      note={dataset?.problem}
      action={action}
    >
      {(id, described) => (
        <select
          id={id}
          name="root"
          aria-describedby={described}
          value={root}
          onChange={e => onChange(e.target.value)}
        >
          {!root && <option value="">Choose a data set…</option>}
          {root && !dataset && <option value={root}>{root}</option>}
          {datasets.map(item => (
            <option key={item.id} value={item.root}>
              {datasetText(item)}
            </option>
          ))}
        </select>
      )}
    </Labelled>
  );
}

interface ModelProps {
  field: Field;
  flavour: string | boolean;
  models: Model[];
  problem: string | undefined;
  onChange: (flavour: string) => void;
}

/** A registered model has the name of the registry; while one types stands there what was typed. */
function ModelField({ field, flavour, models, problem, onChange }: ModelProps) {
  const [typed, setTyped] = useState<string | null>(null);
  const model = models.find(item => item.flavour === flavour);
  const isTyped = typed !== null && (modelCalled(typed, models)?.flavour ?? typed) === flavour;
  const others = field.suggestions.filter(id => models.every(item => item.flavour !== id));
  return (
    <FieldInput
      field={field}
      value={isTyped ? typed : (model?.name ?? flavour)}
      problem={flavour ? problem : undefined}
      note={model ? (model.problem ?? <WhatItNames model={model} />) : 'a hub id or a local folder'}
      suggestions={[...models.map(item => item.name), ...others]}
      onChange={value => {
        setTyped(String(value));
        onChange(String(value));
      }}
      onBlur={() => setTyped(null)}
    />
  );
}

const WhatItNames = ({ model }: { model: Model }) => (
  <>
    registered: <PathText path={model.flavour} short />
  </>
);

interface Props {
  fields: Field[];
  state: DraftState;
  datasets: Dataset[];
  models: Model[];
  wrong: Record<string, string>;
  setRoot: (root: string) => void;
  /** What another data set has changed. */
  change: ReactNode;
  /** The control of any other field. */
  input: (field: Field) => ReactNode;
}

export function DataAndModel({ fields, state, datasets, models, wrong, setRoot, change, input }: Props) {
  const { draft, pickModel } = state;
  const [registering, setRegistering] = useState(false);
  const root = fields.find(field => field.name === 'root');
  const model = fields.find(field => field.name === 'model_flavour');
  const register = !registering && (
    <button type="button" className="imgcls-plain" onClick={() => setRegistering(true)}>
      Register a folder…
    </button>
  );
  return (
    <fieldset>
      <legend>What</legend>
      {root && (
        <DatasetField
          field={root}
          root={String(draft.root ?? '')}
          datasets={datasets}
          problem={wrong.root}
          action={register}
          onChange={setRoot}
        />
      )}
      {model && (
        <ModelField
          field={model}
          flavour={draft.model_flavour ?? ''}
          models={models}
          problem={wrong.model_flavour}
          onChange={value => pickModel(value, models)}
        />
      )}
      {change}
      {registering && (
        <RegisterFolder
          onDone={item => {
            setRegistering(false);
            setRoot(item.root);
          }}
          onCancel={() => setRegistering(false)}
        />
      )}
      {fields.filter(field => field !== root && field !== model).map(input)}
    </fieldset>
  );
}
