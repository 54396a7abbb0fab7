// The head of the form of a new run: whose settings it holds, and which others there are.
import type { Config, RunDetail } from '../data/types';
import type { DraftState } from './use_draft';
import '../ui/inputs.css';
import '../ui/button.css';
import '../ui/layout.css';
import './form.css';
import './run_form_head.css';

interface Props {
  parent: RunDetail | undefined;
  configs: Config[];
  state: DraftState;
}

export function RunFormHead({ parent, configs, state: { from, offer, reset, load } }: Props) {
  return (
    <>
      <header className="imgcls-form-head">
        <h1>{parent ? `New run from ${parent.name}` : 'New run'}</h1>
        {configs.length > 0 && (
          <select
            aria-label="Load a config"
            name="load-config"
            value=""
            onChange={e => {
              const chosen = configs.find(item => String(item.id) === e.target.value);
              if (chosen) load(chosen);
            }}
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
