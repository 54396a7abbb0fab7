// The form of a new run, made from TrainConfig's schema. The server checks while one types; Launch queues.
import { useEffect, useMemo, useRef, useState } from 'react';
import { Chart } from './chart';
import { FieldInput, Labelled } from './fields';
import {
  changed,
  configOf,
  draftOf,
  layoutOf,
  learningRates,
  newKey,
  textOf,
  type Draft,
  type Field,
  type Layout,
} from './form';
import { plural } from './format';
import { useAction, useQuery } from './hooks';
import { useGo } from './place';
import { RegisterFolder, datasetText } from './register';
import { SaveConfig } from './saveconfig';
import { useSource, type Config } from './source';
import { Button, Problem } from './states';
import type { CheckReply, DatasetView, RunDetail } from './types';

const PAUSE = 350; // ms without a key before the server is asked

/** What the server says of a config, asked when typing rests. */
function useCheck(config: Config, ready: boolean): { check: CheckReply | undefined; error: string | null } {
  const text = JSON.stringify(config);
  const [asked, setAsked] = useState<string | null>(null);
  useEffect(() => {
    if (!ready) return;
    const timer = setTimeout(() => setAsked(text), PAUSE);
    return () => clearTimeout(timer);
  }, [text, ready]);
  const params = useMemo(() => (asked === null ? null : { config: JSON.parse(asked) as Config }), [asked]);
  const { data, error } = useQuery('check', params);
  return { check: data, error };
}

const oneOf = (fields: Field[], name: string) => fields.find(field => field.name === name);

function Form({ layout, start, parent }: { layout: Layout; start: Config; parent: RunDetail | undefined }) {
  const source = useSource();
  const go = useGo();
  const { data: info } = useQuery('info', {});
  const { data: datasets, reload: reloadDatasets } = useQuery('datasets', {});
  const { data: models } = useQuery('models', {});
  const { data: projects } = useQuery('projects', {});
  const { data: configs, reload: reloadConfigs } = useQuery('configs', {});
  const [draft, setDraft] = useState<Draft>(() => draftOf(layout, start));
  const [name, setName] = useState('');
  const [project, setProject] = useState(parent ? String(parent.project_id) : '');
  const [registering, setRegistering] = useState(false);
  const [saving, setSaving] = useState(false);
  const [saved, setSaved] = useState<string | null>(null);
  const { busy, error, act } = useAction();
  const key = useRef({ text: '', key: '' });

  const { config, problems } = useMemo(() => configOf(layout, draft), [layout, draft]);
  const readable = Object.keys(problems).length === 0;
  const { check, error: checkError } = useCheck(config, readable);
  const wrong: Record<string, string> = { ...problems };
  let general: string | null = null;
  for (const problem of (readable && check?.problems) || []) {
    if (layout.fields.has(problem.field)) wrong[problem.field] ??= problem.message;
    else general ??= problem.message;
  }
  const valid = readable && general === null && Object.keys(wrong).length === 0;
  const dataset = datasets?.find(item => item.root === draft.root);
  const model = models?.find(item => item.flavour === draft.model_flavour);

  const set = (field: string, value: string | boolean) => setDraft(was => ({ ...was, [field]: value }));
  const pickModel = (flavour: string) => {
    const known = models?.find(item => item.flavour === flavour || item.name === flavour);
    setDraft(was => ({
      ...was,
      model_flavour: known?.flavour ?? flavour,
      ...(known ? { load_pretrained: known.load_pretrained, revision: textOf(known.revision) } : {}),
    }));
  };
  const registered = (item: DatasetView) => {
    reloadDatasets();
    setRegistering(false);
    set('root', item.root);
  };
  const load = (id: string) => {
    const chosen = configs?.find(item => String(item.id) === id);
    if (!chosen) return;
    setDraft(draftOf(layout, chosen.config));
    setSaved(null);
  };
  const launch = async () => {
    const request = {
      config,
      name: name.trim() || null,
      project_id: project ? Number(project) : null,
      dataset_id: dataset?.id ?? null,
      model_id: model?.id ?? null,
      parent_id: parent?.id ?? null,
    };
    const text = JSON.stringify(request);
    if (key.current.text !== text) key.current = { text, key: newKey() };
    await act('launch', async () => {
      const run = await source.command('submit', { ...request, idempotency_key: key.current.key });
      key.current = { text: '', key: '' };
      go({ view: 'run', id: run.id });
    });
  };

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
          if (valid && !busy) void launch();
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
              problem={wrong.model_flavour}
              note={model ? (model.problem ?? `registered as “${model.name}”`) : 'a hub id or a local folder'}
              suggestions={models?.map(item => item.flavour) ?? []}
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
              <Labelled
                title="Name of the run"
                note={name ? undefined : 'made from the config if left empty'}
              >
                {id => (
                  <input
                    id={id}
                    name="run-name"
                    value={name}
                    maxLength={200}
                    onChange={e => setName(e.target.value)}
                  />
                )}
              </Labelled>
            )}
            {section.title === 'Where' && projects && projects.length > 1 && (
              <Labelled title="Project">
                {id => (
                  <select id={id} name="project" value={project} onChange={e => setProject(e.target.value)}>
                    <option value="">default</option>
                    {projects
                      .filter(item => item.name !== 'default')
                      .map(item => (
                        <option key={item.id} value={item.id}>
                          {item.name}
                        </option>
                      ))}
                  </select>
                )}
              </Labelled>
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
            existing={configs ?? []}
            onDone={title => {
              setSaving(false);
              setSaved(title);
              reloadConfigs();
            }}
            onCancel={() => setSaving(false)}
          />
        )}
        <div className="imgcls-buttons imgcls-form-foot">
          <Button primary type="submit" busy={busy !== null} disabled={!valid || !check}>
            {busy ? 'Launching…' : 'Launch'}
          </Button>
          {!saving && (
            <Button disabled={!readable} onClick={() => setSaving(true)}>
              Save config…
            </Button>
          )}
          {saved && <span className="imgcls-note">Saved as “{saved}”.</span>}
          {!valid && check && (
            <span className="imgcls-note">
              {draft.root ? 'Correct what is marked, then launch.' : 'Choose a data set, then launch.'}
            </span>
          )}
        </div>
      </form>
      <Before check={readable ? check : undefined} config={config} />
    </div>
  );
}

/** The column beside the form: what would happen. */
function Before({ check, config }: { check: CheckReply | undefined; config: Config }) {
  const rates = learningRates(config);
  const facts = Object.entries(check?.facts ?? {});
  return (
    <aside className="imgcls-before" aria-label="Before you launch">
      <h2>Before you launch</h2>
      {facts.length > 0 ? (
        <table className="imgcls-facts">
          <tbody>
            {facts.map(([label, sentence]) => (
              <tr key={label}>
                <th scope="row">{label}</th>
                <td className="imgcls-num">{sentence}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : (
        <p className="imgcls-muted">
          {check ? 'Nothing to say until the form can be read.' : 'Looking at the data…'}
        </p>
      )}
      {rates.x.length > 0 && (
        <Chart
          title="Learning rate"
          axis="epoch"
          height={130}
          legend={false}
          note={`over the run, ${String(config.schedule ?? '')}`}
          lines={[{ label: 'learning rate', colour: 2, ...rates }]}
        />
      )}
    </aside>
  );
}

/** A new run: from what the server suggests, or from another run's config. */
export function NewRun({ from }: { from?: string }) {
  const { data: schema, error, reload } = useQuery('schema', {});
  const parent = useQuery('run', from ? { id: from } : null);
  const layout = useMemo(() => (schema ? layoutOf(schema) : undefined), [schema]);
  const problem = error ?? parent.error;
  if (problem) {
    return (
      <div className="imgcls-empty">
        <Problem>{problem}</Problem>
        <Button onClick={reload}>Try again</Button>
      </div>
    );
  }
  if (!schema || !layout || (from && !parent.data))
    return <p className="imgcls-empty imgcls-muted">Reading the form…</p>;
  return <Form layout={layout} start={parent.data?.config ?? schema.start} parent={parent.data} />;
}
