// The form of a new run, made from TrainConfig's schema. The server checks while one types; Launch queues.
import { useEffect, useMemo, useState } from 'react';
import { madeFor, ofConfig, ofRun, plain, rebased, suggested, type Base } from './form_defaults';
import { Before } from './preflight';
import { FieldInput, Labelled } from './fields';
import { changed, configOf, layoutOf, textOf, type Draft, type Field, type Layout } from './config_form';
import { plural } from '../ui/format';
import { useQuery } from '../data/hooks';
import { Await, LaunchButton, ProjectChoice, RunName, useLaunch } from './launch';
import { RegisterFolder, datasetText } from './register_dataset';
import { SaveConfig } from './save_config';
import type { TrainConfig } from '../data/source';
import { Button, Problem } from '../ui/states';
import type { CheckReply, Dataset, RunDetail, SchemaReply } from '../data/types';

const PAUSE = 350; // ms without a key before the server is asked

/** What the server says of a config, asked when typing rests. */
function useCheck(config: TrainConfig): { check: CheckReply | undefined; error: string | null } {
  const text = JSON.stringify(config);
  const [asked, setAsked] = useState<string | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text), PAUSE);
    return () => clearTimeout(timer);
  }, [text]);
  const params = useMemo(
    () => (asked === null ? null : { config: JSON.parse(asked) as TrainConfig }),
    [asked],
  );
  const { data, error } = useQuery('check', params);
  return { check: data, error };
}

const oneOf = (fields: Field[], name: string) => fields.find(field => field.name === name);

interface Props {
  schema: SchemaReply;
  layout: Layout;
  parent: RunDetail | undefined;
  onLaunched?: () => void;
}

function Form({ schema, layout, parent, onLaunched }: Props) {
  const { data: info } = useQuery('info', {});
  const { data: datasets } = useQuery('datasets', {});
  const { data: models } = useQuery('models', {});
  const { data: configs } = useQuery('configs', {});
  const [base, setBase] = useState<Base>(() => (parent ? ofRun(layout, parent) : suggested(layout, schema)));
  const [draft, setDraft] = useState<Draft>(base.draft);
  const [name, setName] = useState('');
  const [project, setProject] = useState(textOf(base.project));
  const [registering, setRegistering] = useState(false);
  const [saving, setSaving] = useState(false);
  const [saved, setSaved] = useState<string | null>(null);
  const { busy, error, launch } = useLaunch(onLaunched);

  const { config, problems } = useMemo(() => configOf(layout, draft), [layout, draft]);
  const readable = Object.keys(problems).length === 0;
  // what cannot be read is left out of what the server checks, so every other field keeps its mark
  const { check, error: checkError } = useCheck(config);
  const wrong: Record<string, string> = { ...problems };
  let general: string | null = null;
  for (const problem of check?.problems ?? []) {
    if (layout.fields.has(problem.field)) wrong[problem.field] ??= problem.message;
    else general ??= problem.message;
  }
  const valid = readable && general === null && Object.keys(wrong).length === 0;
  const dataset = datasets?.find(item => item.root === draft.root);
  const model = models?.find(item => item.flavour === draft.model_flavour);

  const set = (field: string, value: string | boolean) => setDraft(was => ({ ...was, [field]: value }));
  const start = (next: Base, values: Draft = next.draft) => {
    setBase(next);
    setDraft(values);
    if (next.project !== null) setProject(String(next.project));
    setSaved(null);
  };
  const offered = madeFor(layout, schema, String(draft.root ?? ''), configs ?? []);
  const offer = offered && offered.from !== base.from ? offered : null;
  const take = (next: Base) =>
    start(next, { ...rebased(draft, base.draft, next.draft), root: draft.root ?? '' });
  const pickModel = (flavour: string) => {
    const known = models?.find(item => item.flavour === flavour || item.name === flavour);
    setDraft(was => ({
      ...was,
      model_flavour: known?.flavour ?? flavour,
      ...(known ? { load_pretrained: known.load_pretrained, revision: textOf(known.revision) } : {}),
    }));
  };
  const registered = (item: Dataset) => {
    setRegistering(false);
    set('root', item.root);
  };
  const load = (id: string) => {
    const chosen = configs?.find(item => String(item.id) === id);
    if (chosen) start(ofConfig(layout, chosen));
  };
  const submit = () =>
    launch('submit', {
      config,
      name: name.trim() || null,
      project_id: project ? Number(project) : null,
      dataset_id: dataset?.id ?? null,
      model_id: model?.id ?? null,
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
  const root = oneOf(layout.first[0]!.fields, 'root');
  const flavour = oneOf(layout.first[0]!.fields, 'model_flavour');
  const rest = layout.first[0]!.fields.filter(field => field !== root && field !== flavour);
  return (
    <div className="imgcls-form-page">
      <form
        className="imgcls-form"
        onSubmit={event => {
          event.preventDefault();
          if (valid && !busy) void submit();
        }}
      >
        <header className="imgcls-form-head">
          <h1>{parent ? `New run from ${parent.name}` : 'New run'}</h1>
          {configs && configs.length > 0 && (
            <select
              aria-label="Load a config"
              name="load-config"
              value=""
              onChange={e => load(e.target.value)}
            >
              <option value="">Load config…</option>
              {configs.map(item => (
                <option key={item.id} value={item.id}>
                  {item.name}
                </option>
              ))}
            </select>
          )}
        </header>
        {base.from !== null && (
          <p className="imgcls-note imgcls-form-base" data-base>
            Settings from {base.from} ·{' '}
            <button
              type="button"
              className="imgcls-plain"
              title="Start from the defaults instead; data set and project stay"
              onClick={() => start(plain(layout, schema, String(draft.root)))}
            >
              Reset
            </button>
          </p>
        )}
        {offer && (
          <p className="imgcls-note imgcls-form-base" data-offer>
            For this data set there are settings from {offer.from} ·{' '}
            <button
              type="button"
              className="imgcls-plain"
              title="Take them, with their project; what you typed stays"
              onClick={() => take(offer)}
            >
              Use them
            </button>
          </p>
        )}

        <fieldset>
          <legend>What</legend>
          {root && (
            <Labelled
              title={root.title}
              help={root.text}
              problem={draft.root ? wrong.root : undefined}
              note={dataset?.problem}
              action={
                !registering && (
                  <button type="button" className="imgcls-plain" onClick={() => setRegistering(true)}>
                    Register a folder…
                  </button>
                )
              }
            >
              {(id, described) => (
                <select
                  id={id}
                  name="root"
                  aria-describedby={described}
                  value={String(draft.root)}
                  onChange={e => set('root', e.target.value)}
                >
                  {!draft.root && <option value="">Choose a data set…</option>}
                  {draft.root && !dataset && <option value={String(draft.root)}>{String(draft.root)}</option>}
                  {datasets?.map(item => (
                    <option key={item.id} value={item.root}>
                      {datasetText(item)}
                    </option>
                  ))}
                </select>
              )}
            </Labelled>
          )}
          {flavour && (
            <FieldInput
              field={flavour}
              value={draft.model_flavour ?? ''}
              problem={draft.model_flavour ? wrong.model_flavour : undefined}
              note={model ? (model.problem ?? `registered as “${model.name}”`) : 'a hub id or a local folder'}
              suggestions={[
                ...new Set([...(models?.map(item => item.flavour) ?? []), ...flavour.suggestions]),
              ]}
              onChange={value => pickModel(String(value))}
            />
          )}
          {registering && (
            <RegisterFolder
              datasetsDir={info?.datasets_dir}
              onDone={registered}
              onCancel={() => setRegistering(false)}
            />
          )}
          {rest.map(input)}
        </fieldset>
        {layout.first.slice(1).map(section => (
          <fieldset key={section.title}>
            <legend>{section.title}</legend>
            {section.fields.map(input)}
            {section.title === 'Where' && (
              <>
                <RunName
                  title="Name of the run"
                  note="made from the config if left empty"
                  value={name}
                  onChange={setName}
                />
                <ProjectChoice value={project} onChange={setProject} />
              </>
            )}
          </fieldset>
        ))}
        {layout.more.map(section => {
          const count = changed(section, draft);
          const wrongHere = section.fields.some(field => wrong[field.name]);
          return (
            <details key={section.title} open={wrongHere || undefined}>
              <summary>
                {section.title} ·{' '}
                {wrongHere ? (
                  <span className="imgcls-problem">something is wrong here</span>
                ) : count === 0 ? (
                  `${plural(section.fields.length, 'setting')} at ${section.fields.length === 1 ? 'its default' : 'their defaults'}`
                ) : (
                  `${count} of ${plural(section.fields.length, 'setting')} changed`
                )}
              </summary>
              <div className="imgcls-fields">{section.fields.map(input)}</div>
            </details>
          );
        })}

        <Problem>{error ?? general ?? checkError}</Problem>
        {saving && (
          <SaveConfig
            config={config}
            project={project ? Number(project) : null}
            existing={configs ?? []}
            onDone={title => {
              setSaving(false);
              setSaved(title);
            }}
            onCancel={() => setSaving(false)}
          />
        )}
        <div className="imgcls-buttons imgcls-form-foot">
          <LaunchButton busy={busy} disabled={!valid || !check} />
          {!saving && (
            <Button disabled={!readable} onClick={() => setSaving(true)}>
              Save config…
            </Button>
          )}
          {saved && <span className="imgcls-note">Saved as “{saved}”.</span>}
          {!valid && check && (
            <span className="imgcls-note">
              {!draft.root
                ? 'Choose a data set, then launch.'
                : !draft.model_flavour
                  ? 'Choose a model, then launch.'
                  : 'Correct what is marked, then launch.'}
            </span>
          )}
        </div>
      </form>
      <Before check={readable ? check : undefined} schedule={String(config.schedule ?? '')} />
    </div>
  );
}

/** A new run: from what the server suggests, or from another run's config. */
export function NewRun({ from, onLaunched }: { from?: string; onLaunched?: () => void }) {
  const schema = useQuery('schema', {});
  const parent = useQuery('run', from ? { id: from } : null);
  const layout = useMemo(() => (schema.data ? layoutOf(schema.data) : undefined), [schema.data]);
  const ready = schema.data && layout && (!from || parent.data) ? schema.data : undefined;
  return (
    <Await
      answer={{ ...schema, data: ready, error: schema.error ?? parent.error }}
      reading="Reading the form…"
    >
      {data => <Form schema={data} layout={layout!} parent={parent.data} onLaunched={onLaunched} />}
    </Await>
  );
}
