// The form of a new run, made from TrainConfig's schema. The server checks while one types; Launch queues.
import { useMemo, useState, type ReactNode } from 'react';
import type { Config, RunDetail, SchemaReply } from '../data/types';
import { useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { changed, layoutOf, type Draft, type Field, type Layout, type Section } from './config_form';
import { DataAndModel } from './data_and_model';
import { FieldInput } from './fields';
import { Await, LaunchButton, ProjectChoice, RunName, useLaunch } from './launch';
import { Preflight } from './preflight';
import { RunFormHead } from './run_form_head';
import { SaveConfig } from './save_config';
import { useCheck, type Check } from './use_check';
import { useDraft } from './use_draft';
import '../ui/inputs.css';
import '../ui/layout.css';
import './form.css';

const NOTHING: never[] = [];

interface FoldedProps {
  section: Section;
  draft: Draft;
  wrong: Check['wrong'];
  input: (field: Field) => ReactNode;
}

/** The settings of a group that one needs seldom. */
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

/** What is left to do before the form can be launched. */
function nextStep({ valid, answered }: Check, draft: Draft): string | null {
  if (valid || !answered) return null;
  if (!draft.root) return 'Choose a data set, then launch.';
  return draft.model_flavour ? 'Correct what is marked, then launch.' : 'Choose a model, then launch.';
}

interface FootProps {
  check: Check;
  step: string | null;
  busy: boolean;
  error: string | null;
  project: number | null;
  configs: Config[];
}

function Foot({ check, step, busy, error, project, configs }: FootProps) {
  const [saving, setSaving] = useState(false);
  const [saved, setSaved] = useState<{ title: string; config: string } | null>(null);
  const text = JSON.stringify(check.config);
  return (
    <>
      <Problem>{error ?? check.general ?? check.error}</Problem>
      {saving && (
        <SaveConfig
          config={check.config}
          project={project}
          existing={configs}
          onDone={title => {
            setSaving(false);
            setSaved({ title, config: text });
          }}
          onCancel={() => setSaving(false)}
        />
      )}
      <div className="imgcls-buttons imgcls-form-foot">
        <LaunchButton busy={busy} disabled={!check.valid || !check.answered} />
        {!saving && (
          <Button disabled={!check.readable} onClick={() => setSaving(true)}>
            Save config…
          </Button>
        )}
        {saved?.config === text && <span className="imgcls-note">Saved as “{saved.title}”.</span>}
        {step && <span className="imgcls-note">{step}</span>}
      </div>
    </>
  );
}

interface WhereProps {
  section: Section;
  input: (field: Field) => ReactNode;
  name: string;
  setName: (name: string) => void;
  project: string;
  setProject: (project: string) => void;
}

const Where = ({ section: { title, fields }, input, name, setName, project, setProject }: WhereProps) => (
  <fieldset>
    <legend>{title}</legend>
    {fields.map(input)}
    <RunName
      title="Name of the run"
      note="made from the config if left empty"
      value={name}
      onChange={setName}
    />
    <ProjectChoice value={project} onChange={setProject} />
  </fieldset>
);

interface Props {
  schema: SchemaReply;
  layout: Layout;
  parent: RunDetail | undefined;
  preset: Draft;
  onLaunched?: () => void;
}

function Form({ schema, layout, parent, preset, onLaunched }: Props) {
  const { data: datasets = NOTHING } = useQuery('datasets', {});
  const { data: models = NOTHING } = useQuery('models', {});
  const { data: configs = NOTHING } = useQuery('configs', {});
  const state = useDraft(layout, schema, parent, configs, preset);
  const { draft, set, project, setProject } = state;
  const check = useCheck(layout, draft);
  const { config, wrong, valid } = check;
  const [name, setName] = useState('');
  const { busy, error, launch } = useLaunch(onLaunched);
  const projectId = project ? Number(project) : null;
  const submit = () =>
    launch('submit', {
      config,
      name: name.trim() || null,
      project_id: projectId,
      dataset_id: datasets.find(item => item.root === draft.root)?.id ?? null,
      model_id: models.find(item => item.flavour === draft.model_flavour)?.id ?? null,
      parent_id: parent?.id ?? null,
    });
  const input = (field: Field) => (
    <FieldInput
      key={field.name}
      field={field}
      value={draft[field.name] ?? ''}
      problem={wrong[field.name]}
      note={field.first ? undefined : field.limits || undefined}
      onChange={value => set(field.name, value)}
    />
  );
  const [what, how, where] = layout.first;
  return (
    <div className="imgcls-form-page">
      <form
        className="imgcls-form"
        onSubmit={event => {
          event.preventDefault();
          if (valid && !busy) void submit();
        }}
      >
        <RunFormHead {...{ parent, configs, state }} />
        <DataAndModel fields={what!.fields} {...{ state, datasets, models, wrong, input }} />
        <fieldset>
          <legend>{how!.title}</legend>
          {how!.fields.map(input)}
        </fieldset>
        <Where section={where!} {...{ input, name, setName, project, setProject }} />
        {layout.more.map(section => (
          <Folded key={section.title} {...{ section, draft, wrong, input }} />
        ))}
        <Foot {...{ check, busy, error, configs }} step={nextStep(check, draft)} project={projectId} />
      </form>
      <Preflight check={check.reply} schedule={String(config.schedule ?? '')} />
    </div>
  );
}

interface StartProps {
  /** Id of the run whose config the form starts with. */
  from?: string;
  /** Id of the data set, and one of its revisions. */
  dataset?: number;
  revision?: number;
  onLaunched?: () => void;
}

/** A new run: from what the server suggests, or from another run's config, or on a data set. */
export function NewRun({ from, dataset: id, revision, onLaunched }: StartProps) {
  const schema = useQuery('schema', {});
  const parent = useQuery('run', from ? { id: from } : null);
  const datasets = useQuery('datasets', id === undefined ? null : {});
  const layout = useMemo(() => (schema.data ? layoutOf(schema.data) : undefined), [schema.data]);
  const known = (!from || parent.data) && (id === undefined || datasets.data);
  const ready = schema.data && layout && known ? schema.data : undefined;
  const root = datasets.data?.find(item => item.id === id)?.root;
  const preset: Draft = {
    ...(root !== undefined && { root }),
    ...(revision !== undefined && { data_revision: String(revision) }),
  };
  return (
    <Await
      answer={{ ...schema, data: ready, error: schema.error ?? parent.error ?? datasets.error }}
      pending="Reading the form…"
    >
      {data => (
        <Form schema={data} layout={layout!} parent={parent.data} preset={preset} onLaunched={onLaunched} />
      )}
    </Await>
  );
}
