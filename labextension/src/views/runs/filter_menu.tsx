// "+ filter": conditions by menus, for whom does not want to write them. Each becomes terms of the query.
import { useId, useState, type ReactNode } from 'react';
import { RUN_STATES } from '../data/types';
import { Button } from '../ui/button';
import { Popover } from '../ui/popover';
import { quoted, type Vocabulary } from './query_text';
import './filter_menu.css';

interface Props {
  words: Vocabulary;
  onAdd: (terms: string[]) => void;
}

type Kind = 'state' | 'project' | 'owner' | 'tag' | 'setting' | 'metric' | 'made';
const KINDS: [Kind, string][] = [
  ['state', 'State'],
  ['project', 'Project'],
  ['owner', 'Owner'],
  ['tag', 'Tag'],
  ['setting', 'Setting of the training'],
  ['metric', 'Range of a metric'],
  ['made', 'When it was made'],
];

/** Some of a list, which are alternatives. */
function Some({ name, of, add }: { name: string; of: readonly string[]; add: (terms: string[]) => void }) {
  const [on, setOn] = useState<readonly string[]>([]);
  if (of.length === 0) return <p className="imgcls-muted">There is none yet.</p>;
  return (
    <>
      <div className="imgcls-filter-some">
        {of.map(value => (
          <label key={value}>
            <input
              type="checkbox"
              checked={on.includes(value)}
              onChange={event =>
                setOn(event.target.checked ? [...on, value] : on.filter(other => other !== value))
              }
            />
            {value}
          </label>
        ))}
      </div>
      <Add disabled={on.length === 0} add={() => add([`${name}=${alternatives(on)}`])} />
    </>
  );
}

/** Several values in one term are alternatives; one with a comma or a space can only stand alone. */
const alternatives = (values: readonly string[]): string =>
  values.length === 1 ? quoted(values[0]!) : values.join(',');

const Add = ({ disabled, add }: { disabled: boolean; add: () => void }) => (
  <div>
    <Button primary disabled={disabled} onClick={add}>
      Add filter
    </Button>
  </div>
);

function Setting({ words, add }: { words: Vocabulary; add: (terms: string[]) => void }) {
  const names = [...words.fields].sort(([, a], [, b]) => a.title.localeCompare(b.title));
  const id = useId();
  const [name, setName] = useState('lr');
  const [op, setOp] = useState('=');
  const [value, setValue] = useState('');
  const field = words.fields.get(name);
  return (
    <>
      <label>
        Setting
        <select value={name} onChange={event => setName(event.target.value)}>
          {names.map(([key, { title }]) => (
            <option key={key} value={key}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <div className="imgcls-filter-row">
        <select aria-label="Comparison" value={op} onChange={event => setOp(event.target.value)}>
          {(field?.numeric ? ['=', '!=', '>', '>=', '<', '<='] : ['=', '!=', ':']).map(each => (
            <option key={each} value={each}>
              {each === ':' ? 'contains' : each}
            </option>
          ))}
        </select>
        <input
          aria-label="Value"
          value={value}
          list={field?.choices.length ? id : undefined}
          onChange={event => setValue(event.target.value)}
        />
        <datalist id={id}>
          {field?.choices.map(choice => (
            <option key={choice} value={choice} />
          ))}
        </datalist>
      </div>
      <Add disabled={value.trim() === ''} add={() => add([`${name}${op}${quoted(value.trim())}`])} />
    </>
  );
}

function MetricRange({ words, add }: { words: Vocabulary; add: (terms: string[]) => void }) {
  const [tag, setTag] = useState('best');
  const [low, setLow] = useState('');
  const [high, setHigh] = useState('');
  return (
    <>
      <label>
        Metric
        <select value={tag} onChange={event => setTag(event.target.value)}>
          <option value="best">best value of the metric that decides</option>
          {[...words.metrics].map(([key, title]) => (
            <option key={key} value={key}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <div className="imgcls-filter-row">
        <input
          aria-label="At least"
          placeholder="at least, 90%"
          value={low}
          onChange={e => setLow(e.target.value)}
        />
        <input
          aria-label="At most"
          placeholder="at most"
          value={high}
          onChange={e => setHigh(e.target.value)}
        />
      </div>
      <Add
        disabled={!low.trim() && !high.trim()}
        add={() => add([low.trim() && `${tag}>=${low.trim()}`, high.trim() && `${tag}<=${high.trim()}`])}
      />
    </>
  );
}

const SPANS: [string, string][] = [
  ['created>today', 'today'],
  ['created>yesterday', 'since yesterday'],
  ['created>7d', 'in the last 7 days'],
  ['created>30d', 'in the last 30 days'],
  ['created<30d', 'more than 30 days ago'],
];

interface DetailsProps {
  kind: Kind;
  words: Vocabulary;
  add: (terms: string[]) => void;
}

function Details({ kind, words, add }: DetailsProps): ReactNode {
  switch (kind) {
    case 'state':
      return <Some name="state" of={RUN_STATES} add={add} />;
    case 'project':
    case 'owner':
    case 'tag':
      return <Some name={kind} of={words.values[kind] ?? []} add={add} />;
    case 'setting':
      return <Setting words={words} add={add} />;
    case 'metric':
      return <MetricRange words={words} add={add} />;
    case 'made':
      return SPANS.map(([term, text]) => (
        <button key={term} type="button" className="imgcls-filter-item" onClick={() => add([term])}>
          {text}
        </button>
      ));
  }
}

function Panel({ words, onAdd, close }: Props & { close: () => void }) {
  const [kind, setKind] = useState<Kind | null>(null);
  const add = (terms: string[]) => {
    close();
    onAdd(terms.filter(Boolean));
  };
  if (kind === null)
    return (
      <div className="imgcls-filter-list">
        {KINDS.map(([each, title]) => (
          <button key={each} type="button" className="imgcls-filter-item" onClick={() => setKind(each)}>
            {title} <span aria-hidden="true">›</span>
          </button>
        ))}
      </div>
    );
  return (
    <div className="imgcls-filter-details">
      <button type="button" className="imgcls-plain" autoFocus onClick={() => setKind(null)}>
        ‹ {KINDS.find(([each]) => each === kind)![1]}
      </button>
      <Details kind={kind} words={words} add={add} />
    </div>
  );
}

export function FilterMenu({ words, onAdd }: Props) {
  return (
    <Popover plain label="+ filter" title="Add a filter">
      {close => <Panel words={words} onAdd={onAdd} close={close} />}
    </Popover>
  );
}
