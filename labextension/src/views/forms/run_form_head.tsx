// The head of the form of a new run: whose settings it holds, and what else it can start from.
import { useState } from 'react';
import type { Config, RunDetail } from '../data/types';
import { useSource } from '../data/source';
import { useAction, useQuery } from '../data/use_query';
import { Problem } from '../ui/messages';
import type { Layout } from './config_form';
import { PasteConfig } from './paste_config';
import type { DraftState } from './use_draft';
import '../ui/inputs.css';
import '../ui/button.css';
import '../ui/layout.css';
import '../ui/messages.css';
import './form.css';
import './run_form_head.css';

const RECENT = 10; // runs that are offered

interface Props {
  layout: Layout;
  parent: RunDetail | undefined;
  configs: Config[];
  state: DraftState;
  /** The form can be opened for several values at once, and is. */
  sweeping: boolean;
}

/** The choice of what to start from: the defaults, a saved config, a run, JSON. */
function StartFrom({ configs, state, onJson }: Pick<Props, 'configs' | 'state'> & { onJson: () => void }) {
  const source = useSource();
  const { error, act } = useAction();
  const { data: runs } = useQuery('runs', { where: 'kind=train', limit: RECENT });
  const choose = (value: string) => {
    const [kind, id = ''] = value.split(/:(.*)/s);
    if (kind === 'defaults') state.reset();
    else if (kind === 'json') onJson();
    else if (kind === 'run')
      void act('run', async () =>
        state.loadRun(await source.query('run', { id }, new AbortController().signal)),
      );
    else {
      const chosen = configs.find(item => String(item.id) === value);
      if (chosen) state.load(chosen);
    }
  };
  return (
    <>
      <select
        aria-label="Start from"
        name="load-config"
        value=""
        onChange={event => choose(event.target.value)}
      >
        <option value="">Start from…</option>
        <option value="defaults">the defaults</option>
        <option value="json">JSON: paste, or a file…</option>
        {configs.length > 0 && (
          <optgroup label="Saved configs">
            {configs.map(item => (
              <option key={item.id} value={item.id}>
                {item.name}
              </option>
            ))}
          </optgroup>
        )}
        {runs && runs.items.length > 0 && (
          <optgroup label="Recent runs">
            {runs.items.map(item => (
              <option key={item.id} value={`run:${item.id}`}>
                {item.name}
              </option>
            ))}
          </optgroup>
        )}
      </select>
      <Problem>{error}</Problem>
    </>
  );
}

export function RunFormHead({ layout, parent, configs, state, sweeping }: Props) {
  const { from, offer, reset, loadJson } = state;
  const [pasting, setPasting] = useState(false);
  const [misunderstood, setMisunderstood] = useState<string[]>([]);
  const what = sweeping ? 'New sweep' : 'New run';
  return (
    <>
      <div className="imgcls-form-head">
        <h1>{parent ? `${what} from ${parent.name}` : what}</h1>
        <StartFrom {...{ configs, state }} onJson={() => setPasting(true)} />
      </div>
      {pasting && (
        <PasteConfig
          layout={layout}
          onTake={(config, sentences) => {
            loadJson(config);
            setMisunderstood(sentences);
            setPasting(false);
          }}
          onCancel={() => setPasting(false)}
        />
      )}
      {misunderstood.map(sentence => (
        <p key={sentence} className="imgcls-problem" role="status" data-misunderstood>
          {sentence}
        </p>
      ))}
      {from !== null && (
        <p className="imgcls-note imgcls-form-base" data-base>
          Settings from {from} ·{' '}
          <button
            type="button"
            className="imgcls-plain"
            title="Start from the defaults instead; data set and project stay"
            onClick={reset}
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
            onClick={offer.take}
          >
            Use them
          </button>
        </p>
      )}
    </>
  );
}
