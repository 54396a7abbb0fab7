// How a run goes on: the settings that change no result, which a resume may give another value. Opened from its head.
import { useState } from 'react';
import { configOf, draftOf, type Draft, type Layout } from './config_form';
import { useAction } from '../data/use_query';
import { InlineForm } from './inline_form';
import type { TrainConfig } from '../data/asked';
import { useSource } from '../data/source';
import { Await } from './launch';
import { SettingFields, useSomeFields } from './setting_fields';
import type { RunDetail } from '../data/types';

interface Props {
  run: RunDetail;
  onResumed: () => void;
  onCancel: () => void;
}

/** What of a config differs from the run's. */
function changesOf(config: TrainConfig, before: TrainConfig): TrainConfig {
  return Object.fromEntries(
    Object.entries(config).filter(([name, value]) => name in before && value !== before[name]),
  );
}

function Fields({ layout, run, onResumed, onCancel }: Props & { layout: Layout }) {
  const source = useSource();
  const before = run.config as TrainConfig;
  const [draft, setDraft] = useState<Draft>(() => draftOf(layout, before));
  const { busy, error, act } = useAction();
  const { config, problems } = configOf(layout, draft);
  const changes = changesOf(config, before);
  const resume = async () => {
    if (await act('resume', () => source.command('resume', { id: run.id, config: changes }))) onResumed();
  };
  const names = Object.keys(changes);
  return (
    <InlineForm
      label="Resume with other settings"
      action={names.length > 0 ? `Resume with ${names.length} changed` : 'Resume'}
      busy={busy !== null}
      ready={Object.keys(problems).length === 0}
      error={error}
      onSubmit={() => void resume()}
      onCancel={onCancel}
    >
      <p className="imgcls-hint">
        These settings change no result: the run goes on exactly. What does change it stays; Clone… starts
        another run.
      </p>
      <div className="imgcls-fields">
        <SettingFields
          fields={layout.fields.values()}
          draft={draft}
          problems={problems}
          onChange={(name, value) => setDraft(now => ({ ...now, [name]: value }))}
        />
      </div>
    </InlineForm>
  );
}

const atResume = (all: Layout['fields']): Layout['fields'] =>
  new Map([...all].filter(([, field]) => field.atResume));

export function ResumeForm(props: Props) {
  const layout = useSomeFields(atResume);
  return (
    <Await answer={layout} pending="Reading the form…">
      {ready => <Fields {...props} layout={ready} />}
    </Await>
  );
}
