// A run that goes on from a checkpoint of this one: which checkpoint, and the settings that it has otherwise. Opened
// from the head of a run's page, and from one of its checkpoints.
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import { configOf, draftOf, layoutOf, shownFields, type Draft, type Field, type Layout } from './config_form';
import { FieldInput } from './fields';
import { ForkRates, ON_SCHEDULE } from './fork_rates';
import { InlineForm } from './inline_form';
import { Await } from './launch';
import { SettingsGroups } from './settings_groups';
import { configAfter } from '../ui/run_changes';
import { runsStoreOf } from '../data/runs_store';
import { useSource } from '../data/source';
import { isActive, type Checkpoint, type ForkRequest, type Run, type RunDetail } from '../data/types';
import { useAction, useQuery } from '../data/use_query';
import { useRested } from '../data/use_rested';
import { AlreadyThere } from '../ui/already_there';
import { useNavigate } from '../ui/navigation';
import { count, plural } from '../ui/format';

interface Props {
  run: RunDetail;
  /** Name of the checkpoint that is chosen at first; none: the newest. */
  at?: string;
  /** It is opened to train for more epochs: they are more at first, and in focus. */
  longer?: boolean;
  /** It takes the focus: what has opened it is not beside it. */
  focus?: boolean;
  onCancel: () => void;
}

/** A checkpoint as people say it. */
export const placeOf = ({ epoch, step, links }: Checkpoint): string =>
  `${plural(epoch, 'epoch')}, step ${count(step)}${links.length > 0 ? ` (${links.join(', ')})` : ''}`;

const newestFirst = (items: readonly Checkpoint[]): Checkpoint[] =>
  [...items].sort((one, other) => other.step - one.step);

const notesOf = (field: Field): string =>
  [
    field.limits,
    ...(field.atFork === 'between_epochs' ? ['only between two epochs'] : []),
    ...(field.atFork === 'fresh_optimizer' ? ['the optimizer begins anew'] : []),
  ]
    .filter(Boolean)
    .join(' · ');

/** The form without the settings that a fork cannot change. */
function forkable(layout: Layout): Layout {
  const may = (field: Field) => field.atFork !== 'refused';
  const kept = (sections: Layout['first']) =>
    sections
      .map(section => ({ ...section, fields: section.fields.filter(may) }))
      .filter(section => section.fields.length > 0);
  const fields = new Map([...layout.fields].filter(([, field]) => may(field)));
  return { ...layout, fields, first: kept(layout.first), more: kept(layout.more) };
}

/** The epochs that a fork has at first: those of the run, or as many again where they are all done at the checkpoint,
 * or where it shall train longer. */
const epochsAt = (run: RunDetail, item: Checkpoint | undefined, longer: boolean): number => {
  const epochs = Number(configAfter(run, item?.step).epochs);
  return longer || (item && item.epoch >= epochs) ? 2 * epochs : epochs;
};

/** What the form holds while one types, and the request that it makes. */
function useFork(layout: Layout, { run, at, longer = false }: Props) {
  const items = newestFirst(run.checkpoints);
  const [chosen, choose] = useState(at ?? items[0]?.name ?? 'last');
  const [edited, setEdited] = useState<Draft>({});
  const [onSchedule, setOnSchedule] = useState<'continue' | 'restart'>('continue');
  const item = items.find(each => each.name === chosen);
  const before = configAfter(run, item?.step);
  const original = draftOf(layout, before);
  const draft: Draft = { ...original, epochs: String(epochsAt(run, item, longer)), ...edited };
  const { config, problems: unreadable } = configOf(layout, draft);
  const names = [...layout.fields.keys()].filter(name => draft[name] !== original[name]);
  const fields = Object.fromEntries(names.map(name => [name, config[name] ?? null]));
  const newest = isActive(run.state) && chosen === items[0]?.name && at === undefined;
  const readable = Object.keys(unreadable).length === 0;
  const request = { at: newest ? 'last' : chosen, fields, on_schedule: onSchedule } satisfies ForkRequest;
  const preview = useQuery(
    'forkPreview',
    useRested(readable ? { id: run.id, at: request.at, fields } : null),
  );
  const refused = readable ? (preview.data?.problems ?? []) : [];
  const general = refused.find(({ field }) => !layout.fields.has(field))?.message;
  const wrong = {
    ...Object.fromEntries(refused.map(({ field, message }) => [field, message])),
    ...unreadable,
  };
  const extended =
    names.length === 1 && names[0] === 'epochs' && Number(fields.epochs) > Number(before.epochs);
  return {
    ...{ items, chosen, choose, draft, onSchedule, setOnSchedule, wrong, request },
    /** What the learning rate would be; of the last form that the server has taken. */
    preview: preview.data,
    general: general ?? preview.error,
    set: (name: string, value: string | boolean) => setEdited(now => ({ ...now, [name]: value })),
    ready: Object.keys(wrong).length === 0,
    action: extended
      ? `Extend to ${String(fields.epochs)} epochs`
      : names.length > 0
        ? `Fork with ${names.length} changed`
        : 'Fork',
  };
}

/** Makes the fork and goes to it. `there`: the same one was made before, and nothing was queued. */
function useForking(run: RunDetail, request: ForkRequest) {
  const source = useSource();
  const navigate = useNavigate();
  const { busy, error, act } = useAction();
  const asked = JSON.stringify(request);
  const [there, setThere] = useState<{ asked: string; run: Run } | null>(null);
  const start = () =>
    act('fork', async () => {
      const child = await source.command('fork', { id: run.id, ...request });
      if (!child.made) return setThere({ asked, run: child });
      runsStoreOf(source).refresh();
      navigate({ view: 'run', id: child.id });
    });
  return { busy: busy !== null, error, start, there: there?.asked === asked ? there.run : null };
}

function Fields({ layout, ...props }: Props & { layout: Layout }) {
  const { run, longer, focus, onCancel } = props;
  const id = useId();
  const form = useFork(layout, props);
  const { draft, wrong, onSchedule } = form;
  const { busy, error, start, there } = useForking(run, form.request);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (focus) box.current?.querySelector('select')?.focus();
    const epochs = longer ? box.current?.querySelector<HTMLInputElement>('[name=epochs]') : null;
    epochs?.focus();
    epochs?.select();
  }, [longer, focus]);
  const input = (field: Field) => (
    <FieldInput
      key={field.name}
      field={field}
      value={draft[field.name] ?? ''}
      problem={wrong[field.name]}
      note={notesOf(field) || undefined}
      onChange={value => form.set(field.name, value)}
    />
  );
  return (
    <InlineForm
      label={longer ? 'Train this run longer' : 'Fork this run'}
      action={form.action}
      ready={form.ready}
      busy={busy}
      error={error ?? form.general}
      said={there && <AlreadyThere run={there} />}
      onSubmit={() => void start()}
      onCancel={onCancel}
    >
      <p className="imgcls-hint">
        A new run goes on from the checkpoint and trains nothing twice. Without a change it computes what this
        run computes next, to the last bit. It needs this run no more.
      </p>
      <div className="imgcls-fields" ref={box}>
        <div className="imgcls-field">
          <label htmlFor={`${id}-at`}>From</label>
          <select id={`${id}-at`} value={form.chosen} onChange={event => form.choose(event.target.value)}>
            {form.items.map(each => (
              <option key={each.name} value={each.name}>
                {placeOf(each)}
              </option>
            ))}
          </select>
        </div>
        <div className="imgcls-field">
          <label htmlFor={`${id}-schedule`}>Its schedule</label>
          <select
            id={`${id}-schedule`}
            value={onSchedule}
            onChange={event => form.setOnSchedule(event.target.value === 'restart' ? 'restart' : 'continue')}
          >
            {Object.entries(ON_SCHEDULE).map(([value, text]) => (
              <option key={value} value={value}>
                the learning rate {text}
              </option>
            ))}
          </select>
        </div>
        {layout.first.flatMap(section => shownFields(layout, draft, section.fields, wrong)).map(input)}
      </div>
      <ForkRates run={run} preview={form.preview} schedule={onSchedule} />
      <SettingsGroups {...{ layout, draft, wrong, input }} />
    </InlineForm>
  );
}

export function ForkForm(props: Props) {
  const schema = useQuery('schema', {});
  const layout = useMemo(() => (schema.data ? forkable(layoutOf(schema.data)) : undefined), [schema.data]);
  return (
    <Await answer={{ ...schema, data: layout }} pending="Reading the form…">
      {ready => <Fields {...props} layout={ready} />}
    </Await>
  );
}

/** Why a run cannot be forked now; undefined: it can. */
export function whyNoFork(run: RunDetail): string | undefined {
  if (run.view_only) return 'Claim the run first: its folder came from elsewhere';
  if (run.elsewhere) return 'Its folder lies in another home, where it can be forked';
  if (run.checkpoints.length === 0)
    return 'There is no checkpoint yet: the first comes with a validation or a stop';
  return undefined;
}

/** Whether its user may fork the run now. */
export const mayFork = (run: RunDetail): boolean =>
  run.may_change && run.kind === 'train' && whyNoFork(run) === undefined;
