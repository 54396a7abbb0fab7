// Settings of a run that it has from its next step on, changed while it waits or trains. Opened from the head of its page.
import { useRef, useState } from 'react';
import { configOf, draftOf, newKey, type Draft, type Layout } from './config_form';
import { Labelled } from './fields';
import { InlineForm } from './inline_form';
import { Await } from './launch';
import { SettingFields, useSomeFields } from './setting_fields';
import { configAfter, numberText } from '../ui/run_changes';
import { runsStoreOf } from '../data/runs_store';
import { useSource } from '../data/source';
import { CHANGEABLE_FIELDS, isActive, type RunDetail } from '../data/types';
import { useAction } from '../data/use_query';

interface Props {
  run: RunDetail;
  onDone: () => void;
}

const LR = 'lr';
const FACTOR = 'Must be a number above 0, such as 0.3.';

/** What a text means as a factor; null: nothing is written, undefined: it is none. */
export function factorOf(text: string): number | null | undefined {
  if (text.trim() === '') return null;
  const factor = Number(text);
  return Number.isFinite(factor) && factor > 0 ? factor : undefined;
}

function Fields({ layout, run, onDone }: Props & { layout: Layout }) {
  const source = useSource();
  const before = configAfter(run);
  const [edited, setEdited] = useState<Draft>({});
  const [text, setText] = useState('');
  const { busy, error, act } = useAction();
  const sent = useRef({ body: '', key: '' });
  const original = draftOf(layout, before);
  const draft: Draft = { ...original, ...edited };
  const { config, problems } = configOf(layout, draft);
  const names = [...layout.fields.keys()].filter(name => name !== LR && draft[name] !== original[name]);
  const factor = factorOf(text);
  const changed = names.length + (factor ? 1 : 0);
  const rate = Number(before[LR]);
  const change = async () => {
    const fields = Object.fromEntries(names.map(name => [name, config[name] ?? null]));
    const request = { ...(factor ? { lr_factor: factor } : {}), fields };
    const body = JSON.stringify(request);
    if (sent.current.body !== body) sent.current = { body, key: newKey() }; // a second try is the same request
    const { key } = sent.current;
    if (await act('change', () => source.command('change', { id: run.id, ...request, key }))) {
      runsStoreOf(source).refresh();
      onDone();
    }
  };
  return (
    <InlineForm
      label="Change settings while it trains"
      action={changed > 1 ? `Change ${changed} settings` : 'Change'}
      busy={busy !== null}
      ready={changed > 0 && factor !== undefined && Object.keys(problems).length === 0}
      error={error}
      onSubmit={() => void change()}
      onCancel={onDone}
    >
      <p className="imgcls-hint">
        The run goes on with these from its next step on, and its curves show where. For other settings, fork
        it.
      </p>
      <div className="imgcls-fields">
        <Labelled
          title="Learning rate times"
          help="A factor on the learning rate, wherever its schedule is"
          note={factor ? `${numberText(rate)} → ${numberText(rate * factor)}` : `now ${numberText(rate)}`}
          problem={factor === undefined ? FACTOR : undefined}
        >
          {(id, describedBy) => (
            <input
              id={id}
              aria-describedby={describedBy}
              inputMode="decimal"
              placeholder="such as 0.3"
              value={text}
              onChange={event => setText(event.target.value)}
            />
          )}
        </Labelled>
        <SettingFields
          fields={[...layout.fields.values()].filter(field => field.name !== LR)}
          draft={draft}
          problems={problems}
          onChange={(name, value) => setEdited(now => ({ ...now, [name]: value }))}
        />
      </div>
    </InlineForm>
  );
}

const changeable = (all: Layout['fields']): Layout['fields'] =>
  new Map(
    Object.keys(CHANGEABLE_FIELDS).flatMap(name => {
      const field = all.get(name);
      return field ? [[name, field] as const] : [];
    }),
  );

export function ChangeForm(props: Props) {
  const layout = useSomeFields(changeable);
  return (
    <Await answer={layout} pending="Reading the form…">
      {ready => <Fields {...props} layout={ready} />}
    </Await>
  );
}

/** Why a run takes no changes of its settings now; undefined: it does. */
export function whyNoChange(run: RunDetail): string | undefined {
  if (run.view_only) return 'Claim the run first: its folder came from elsewhere';
  if (!isActive(run.state)) return 'It has ended: Fork… goes on from a checkpoint with other settings';
  if (run.state === 'stopping' || run.desired_state !== 'run')
    return 'It is stopping: resume it afterwards, and change it then';
  return undefined;
}
