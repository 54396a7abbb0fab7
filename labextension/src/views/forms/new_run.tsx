// The form of a new run, made from TrainConfig's schema. The server checks while one types; Launch queues.
import { useMemo, useState, type ReactNode } from 'react';
import type { Config, ConfigVersion, RunDetail, SchemaReply } from '../data/types';
import { useQuery } from '../data/use_query';
import { layoutOf, shownFields, type Draft, type Field, type Layout, type Section } from './config_form';
import { DataAndModel } from './data_and_model';
import { DatasetChange, type Left } from './dataset_change';
import { FieldInput } from './fields';
import { FormFoot, nextStep } from './form_foot';
import { Await, ProjectChoice, RunName, useLaunch } from './launch';
import { Preflight } from './preflight';
import { ReplicatesField, replicatesOf } from './replicates_field';
import { RunFormHead } from './run_form_head';
import { SettingsGroups } from './settings_groups';
import { SpeedTrial } from './speed_trial';
import type { Property } from './sweep_space';
import { SweepSection, trialsText, useSweep } from './sweep_section';
import { noteOf, useCheck } from './use_check';
import { useDraft } from './use_draft';
import { VersionsPreview } from './versions_preview';
import type { RunStart } from '../ui/navigation';
import { usePreferences } from '../ui/preferences';
import '../ui/inputs.css';
import '../ui/layout.css';
import './form.css';

const NOTHING: never[] = [];

interface WhereProps {
  section: Section;
  input: (field: Field) => ReactNode;
  name: string;
  setName: (name: string) => void;
  names: string[];
  project: string;
  setProject: (project: string) => void;
  /** How many runs; of a sweep its search says it. */
  replicates: ReactNode;
}

const Where = ({
  section: { title, fields },
  input,
  name,
  setName,
  names,
  project,
  setProject,
  replicates,
}: WhereProps) => (
  <fieldset>
    <legend>{title}</legend>
    {fields.map(input)}
    <RunName
      title="Name of the run"
      note="made from the config if left empty"
      value={name}
      suggestions={names}
      onChange={setName}
    />
    <ProjectChoice value={project} onChange={setProject} />
    {replicates}
  </fieldset>
);

interface Props {
  schema: SchemaReply;
  layout: Layout;
  parent: RunDetail | undefined;
  saved: Config | undefined;
  preset: Draft;
  project: number | undefined;
  sweeping: boolean;
  onLaunched?: () => void;
}

/** The registered things that the form offers. */
function useOffers() {
  const { data: datasets = NOTHING } = useQuery('datasets', {});
  const { data: models = NOTHING } = useQuery('models', {});
  const { data: configs = NOTHING } = useQuery('configs', {});
  const { data: projects = NOTHING } = useQuery('projects', {});
  return { datasets, models, configs, projects };
}

/** All that the form holds while one types. */
function useForm({ schema, layout, parent, saved, preset, project, sweeping, onLaunched }: Props) {
  const offers = useOffers();
  const state = useDraft(layout, schema, parent ?? saved, offers.configs, preset, project);
  const check = useCheck(layout, state.draft);
  const properties = (schema.json_schema.properties ?? {}) as Record<string, Property>;
  const sweep = useSweep(layout, properties, check.config, sweeping);
  const [name, setName] = useState('');
  const [left, setLeft] = useState<Left | null>(null);
  const { busy, error, launch } = useLaunch(onLaunched);
  const root = String(state.draft.root ?? '');
  const projectId = state.project ? Number(state.project) : null;
  const dataset = offers.datasets.find(item => item.root === root);
  const shared = { name: name.trim() || null, project_id: projectId };
  const replicates = replicatesOf(sweep.search.replicates);
  const ready = check.valid && check.answered && sweep.valid && (sweep.on || replicates !== null);
  const submit = () => {
    if (sweep.parts) return launch('sweep', { ...sweep.parts, ...shared, base: check.config });
    const run = {
      ...shared,
      config: check.config,
      dataset_id: dataset?.id ?? null,
      model_id: offers.models.find(item => item.flavour === state.draft.model_flavour)?.id ?? null,
      parent_id: parent?.id ?? null,
    };
    return replicates !== null && replicates > 1
      ? launch('submitReplicates', { ...run, replicates })
      : launch('submit', run);
  };
  return {
    ...{ offers, state, check, sweep, name, setName, left, busy, error, root, projectId, dataset, ready },
    submit: () => ready && !busy && void submit(),
    /** Choose another data set, and remember which one was left; `undo`: go back. */
    setRoot: (next: string) => {
      setLeft({ root, edge: check.reply?.image_edge ?? null });
      state.set('root', next);
    },
    undo: (before: string) => {
      setLeft(null);
      state.set('root', before);
    },
    /** As code is written of it. */
    written: {
      config: check.config,
      name: name.trim(),
      project: offers.projects.find(item => item.id === projectId)?.name ?? '',
      sweep: sweep.parts,
      replicates: replicates ?? 1,
    },
  };
}

function Form(props: Props) {
  const { schema, layout, parent } = props;
  const form = useForm(props);
  const { offers, state, check, sweep, name, setName, left, root, dataset } = form;
  const { draft, set, project, setProject } = state;
  const { config, wrong } = check;
  const input = (field: Field) => (
    <FieldInput
      key={field.name}
      field={field}
      value={draft[field.name] ?? ''}
      problem={wrong[field.name]}
      note={noteOf(layout, draft, check.reply, field)}
      onChange={value => set(field.name, value)}
    />
  );
  const [what, how, where] = layout.first;
  const change = (
    <DatasetChange {...{ left, root }} datasets={offers.datasets} check={check.reply} onUndo={form.undo} />
  );
  return (
    <div className="imgcls-form-page">
      <form
        className="imgcls-form"
        onSubmit={event => {
          event.preventDefault();
          form.submit();
        }}
      >
        <RunFormHead {...{ layout, parent, state }} configs={offers.configs} sweeping={sweep.on} />
        <DataAndModel
          fields={what!.fields}
          {...{ state, wrong, input, change }}
          datasets={offers.datasets}
          models={offers.models}
          setRoot={form.setRoot}
        />
        <fieldset>
          <legend>{how!.title}</legend>
          {shownFields(layout, draft, how!.fields, wrong).map(input)}
        </fieldset>
        <Where
          section={where!}
          {...{ input, name, setName, project, setProject }}
          replicates={
            !sweep.on && (
              <ReplicatesField
                value={sweep.search.replicates}
                seed={Number(config.seed ?? 0)}
                onChange={replicates => sweep.setSearch({ ...sweep.search, replicates })}
              />
            )
          }
          names={schema.recent_names ?? NOTHING}
        />
        <SweepSection {...{ layout, sweep }} base={config} />
        <SettingsGroups {...{ layout, draft, wrong, input }} />
        <FormFoot
          {...{ layout, check }}
          {...{ busy: form.busy, error: form.error, ready: form.ready, launch: form.written }}
          configs={offers.configs}
          step={nextStep(check, draft) ?? trialsText(sweep)}
          project={form.projectId}
        />
      </form>
      <Preflight
        check={check.reply}
        schedule={String(config.schedule ?? '')}
        trial={<SpeedTrial config={config} onDone={check.reload} />}
      >
        <VersionsPreview
          {...{ layout, config }}
          valid={check.valid}
          drawable={check.reply?.may_draw}
          dataset={dataset?.id}
        />
      </Preflight>
    </div>
  );
}

interface StartProps extends RunStart {
  /** Several values of a setting from the start. */
  sweeping?: boolean;
  onLaunched?: () => void;
}

/** The project that the settings name for new runs; `known`: whether there is one is known. */
function usePreferredProject(wanted: boolean): { known: boolean; id: number | undefined } {
  const name = usePreferences().project;
  const asked = wanted && name !== '';
  const { data, error } = useQuery('projects', asked ? {} : null);
  return {
    known: !asked || data !== undefined || error !== null,
    id: asked ? data?.find(item => item.name === name && item.may_change)?.id : undefined,
  };
}

/** The config that the form starts with, at one of its versions. */
function savedConfig(
  configs: Config[] | undefined,
  id: number | undefined,
  versions: ConfigVersion[] | undefined,
  version: number | undefined,
): Config | undefined {
  const saved = configs?.find(item => item.id === id);
  if (!saved || version === undefined) return saved;
  const older = versions?.find(item => item.number === version);
  return older && { ...saved, name: `${saved.name}, version ${version}`, config: older.config };
}

/** A new run: from what the server suggests, or from another run's config, or on a data set. */
export function NewRun(props: StartProps) {
  const {
    from,
    dataset: id,
    revision,
    config,
    version,
    folder,
    project,
    sweeping = false,
    onLaunched,
  } = props;
  const preferred = usePreferredProject(from === undefined && config === undefined && project === undefined);
  const schema = useQuery('schema', {});
  const parent = useQuery('run', from ? { id: from } : null);
  const datasets = useQuery('datasets', id === undefined ? null : {});
  const configs = useQuery('configs', config === undefined ? null : {});
  const layout = useMemo(() => (schema.data ? layoutOf(schema.data) : undefined), [schema.data]);
  const place = useQuery('folderAt', folder === undefined ? null : { path: folder });
  const versions = useQuery(
    'configVersions',
    config === undefined || version === undefined ? null : { id: config },
  );
  const known =
    (!from || parent.data) && (id === undefined || datasets.data) && (folder === undefined || place.data);
  const saved = savedConfig(configs.data, config, versions.data, version);
  const ready =
    schema.data && layout && known && preferred.known && (config === undefined || saved)
      ? schema.data
      : undefined;
  const isGone = config !== undefined && configs.data?.every(item => item.id !== config);
  const root = place.data?.root ?? datasets.data?.find(item => item.id === id)?.root;
  const preset: Draft = {
    ...(root !== undefined && { root }),
    ...(revision !== undefined && { data_revision: String(revision) }),
  };
  return (
    <Await
      answer={{
        ...schema,
        data: ready,
        error:
          schema.error ??
          parent.error ??
          datasets.error ??
          configs.error ??
          versions.error ??
          place.error ??
          (isGone ? 'This config is not there any more.' : null),
      }}
      pending="Reading the form…"
    >
      {data => (
        <Form
          schema={data}
          layout={layout!}
          parent={parent.data}
          {...{ saved, preset, sweeping, onLaunched }}
          project={project ?? preferred.id}
        />
      )}
    </Await>
  );
}
