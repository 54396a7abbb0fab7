// A config as JSON, pasted or from a file: what of it is understood fills the form, and what is not is said.
import { useState } from 'react';
import type { TrainConfig } from '../data/asked';
import { messageOf, useSource } from '../data/source';
import { useAction } from '../data/use_query';
import type { Layout } from './config_form';
import { Labelled } from './fields';
import { InlineForm } from './inline_form';

const LARGEST = 1_000_000; // bytes

/** The config in a text: itself, or inside what a run or a saved config is exported as. Throws a sentence. */
export function configIn(text: string): TrainConfig {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${messageOf(error)}`, { cause: error });
  }
  const isMapping = (value: unknown): value is TrainConfig =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (isMapping(found) && isMapping(found.config)) found = found.config;
  if (!isMapping(found))
    throw new Error('A config is a mapping of settings, such as {"lr": 0.001, "epochs": 10}.');
  if (Object.keys(found).length === 0) throw new Error('This mapping is empty: it sets nothing.');
  return found;
}

interface Props {
  layout: Layout;
  onTake: (config: TrainConfig, misunderstood: string[]) => void;
  onCancel: () => void;
}

export function PasteConfig({ layout, onTake, onCancel }: Props) {
  const source = useSource();
  const { busy, error, act } = useAction();
  const [text, setText] = useState('');
  const [file, setFile] = useState<string | null>(null);
  const read = async (chosen: File | undefined) => {
    setFile(null);
    if (!chosen) return;
    if (chosen.size > LARGEST) setFile(`“${chosen.name}” is larger than a config can be (1 MB).`);
    else setText(await chosen.text());
  };
  const take = () =>
    act('take', async () => {
      const config = configIn(text);
      // the server knows former and similar names; what it says of fields that are none is all that is left out
      const reply = await source.query('check', { config }, new AbortController().signal);
      const strange = reply.problems.filter(({ field }) => field in config && !layout.fields.has(field));
      onTake(
        config,
        strange.map(({ field, message }) => `“${field}” was left out. ${message}`),
      );
    });
  return (
    <InlineForm
      label="A config as JSON"
      action="Fill the form"
      busy={busy !== null}
      ready={text.trim() !== ''}
      error={error ?? file}
      onSubmit={() => void take()}
      onCancel={onCancel}
    >
      <Labelled title="JSON" note="a config, or what a run or a saved config was exported as">
        {(id, described) => (
          <textarea
            id={id}
            name="pasted-config"
            aria-describedby={described}
            rows={6}
            spellCheck={false}
            autoFocus
            value={text}
            onChange={event => setText(event.target.value)}
          />
        )}
      </Labelled>
      <Labelled title="or a file">
        {id => (
          <input
            id={id}
            type="file"
            accept="application/json,.json"
            onChange={event => void read(event.target.files?.[0])}
          />
        )}
      </Labelled>
    </InlineForm>
  );
}
