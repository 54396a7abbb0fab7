// “Run the single changes…”: queues a run for each setting in which two runs differ.
import { useMemo, useRef, useState } from 'react';
import { useSource } from '../data/source';
import type { Comparison, Run } from '../data/types';
import { useAction } from '../data/use_query';
import { newKey } from '../forms/config_form';
import { Button } from '../ui/button';
import { plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { Popover } from '../ui/popover';
import { queueChanges, singleChanges, type Queued, type SingleChange } from './single_changes';
import './single_changes_menu.css';

/** Nothing where the cause is known already: one setting, or none. */
export function SingleChangesMenu({ comparison }: { comparison: Comparison }) {
  const changes = useMemo(() => singleChanges(comparison), [comparison]);
  const [first, second] = comparison.runs;
  if (changes.length < 2 || !first || !second) return null;
  return (
    <Popover plain label="Run the single changes…" title="Run the single changes">
      {close => <Form changes={changes} pair={[first, second]} onClose={close} />}
    </Popover>
  );
}

interface FormProps {
  changes: readonly SingleChange[];
  pair: readonly [Run, Run];
  onClose: () => void;
}

function Form({ changes, pair, onClose }: FormProps) {
  const source = useSource();
  const { busy, error, act } = useAction();
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const [queued, setQueued] = useState<Queued | null>(null);
  const keys = useRef(new Map<string, string>());
  const keyOf = (field: string) => {
    if (!keys.current.has(field)) keys.current.set(field, newKey());
    return keys.current.get(field)!;
  };
  const chosen = changes.filter(({ field }) => !left.has(field));
  const turn = (field: string) =>
    setLeft(was => new Set(was.has(field) ? [...was].filter(each => each !== field) : [...was, field]));
  if (queued) return <Done {...{ queued, pair, onClose }} />;
  return (
    <form
      className="imgcls-single-changes"
      onSubmit={event => {
        event.preventDefault();
        void act('queue', async () => setQueued(await queueChanges(source, chosen, pair, keyOf)));
      }}
    >
      <p className="imgcls-note">
        Each is A with one setting of B. Beside A and B they show which setting makes the difference.
      </p>
      {changes.map(({ field, title, before, after }) => (
        <label key={field}>
          <input type="checkbox" checked={!left.has(field)} onChange={() => turn(field)} />
          <span>
            {title} <span className="imgcls-muted">{before} →</span> <b>{after}</b>
          </span>
        </label>
      ))}
      <Problem>{error}</Problem>
      <div>
        <Button primary type="submit" busy={busy !== null} disabled={chosen.length === 0}>
          Queue {plural(chosen.length, 'run')}
        </Button>
      </div>
    </form>
  );
}

function Done({
  queued: { runs, refused },
  pair,
  onClose,
}: Pick<FormProps, 'pair' | 'onClose'> & { queued: Queued }) {
  const navigate = useNavigate();
  const compare = () => {
    onClose();
    navigate({ view: 'compare', ids: [...pair, ...runs].map(({ id }) => id) });
  };
  return (
    <div className="imgcls-single-changes">
      <p role="status">
        {runs.length > 0 ? `${plural(runs.length, 'run')} in the queue.` : 'No run is queued.'}
      </p>
      {refused.map(({ title, message }) => (
        <Problem key={title}>{`${title}: ${message}`}</Problem>
      ))}
      {runs.length > 0 && (
        <div>
          <Button primary onClick={compare}>
            Compare all {pair.length + runs.length}
          </Button>
        </div>
      )}
    </div>
  );
}
