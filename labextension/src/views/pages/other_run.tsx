// The choice of another run to set this one against: its parent, or any that a search finds.
import { useId, useState } from 'react';
import { useQuery } from '../data/use_query';
import type { RunDetail } from '../data/types';
import '../ui/inputs.css';
import '../ui/toolbar.css';
import './other_run.css';

const FOUND = 50; // runs that the list offers; the search narrows it

interface Props {
  run: RunDetail;
  /** Id of the chosen run; empty: what `none` says. */
  value: string;
  onChange: (id: string) => void;
  /** What there is instead of another run, such as the defaults. */
  none: string;
}

export function OtherRun({ run, value, onChange, none }: Props) {
  const id = useId();
  const [text, setText] = useState('');
  const { data, error } = useQuery('runs', { where: text.trim() || undefined, limit: FOUND });
  const { data: above } = useQuery('run', run.parent_id ? { id: run.parent_id } : null);
  const parent = above?.kind === run.kind ? above : undefined; // a trial's is its sweep
  const others = (data?.items ?? []).filter(
    item => item.id !== run.id && item.id !== parent?.id && item.kind === run.kind,
  );
  const known = value === '' || value === parent?.id || others.some(item => item.id === value);
  const { data: chosen } = useQuery('run', known ? null : { id: value });
  return (
    <>
      <label htmlFor={id}>against</label>
      <select
        id={id}
        className="imgcls-small imgcls-other-run"
        value={value}
        onChange={event => onChange(event.target.value)}
      >
        <option value="">{none}</option>
        {parent && <option value={parent.id}>parent: {parent.name}</option>}
        {!known && <option value={value}>{chosen?.name ?? value}</option>}
        {others.map(item => (
          <option key={item.id} value={item.id}>
            {item.name} · {item.id.slice(-6)}
          </option>
        ))}
      </select>
      <input
        type="search"
        className="imgcls-find-run"
        aria-label="Find another run"
        placeholder="find another run"
        value={text}
        maxLength={200}
        onChange={event => setText(event.target.value)}
      />
      {error && <span className="imgcls-note">{error}</span>}
    </>
  );
}
