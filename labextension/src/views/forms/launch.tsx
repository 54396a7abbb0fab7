// What the forms that start runs share: one launch for each request, the fields for name and project, the page before
// the form is there.
import { useRef, type ReactNode } from 'react';
import { Labelled } from './fields';
import { newKey } from './config_form';
import { useAction, useQuery, type QueryResult } from '../data/use_query';
import { useNavigate } from '../ui/navigation';
import type { Args } from '../data/requests';
import type { Queued } from '../data/types';
import { useSource } from '../data/source';
import { Button } from '../ui/button';
import { Unread } from '../ui/page_frame';
import '../ui/inputs.css';
import '../ui/layout.css';

type Launching = 'submit' | 'submitReplicates' | 'runNotebook' | 'sweep';

/**
 * Launches a request and goes to the run that it made, or to all of several beside each other; pressed twice, or again
 * after an error, it is launched once.
 */
export function useLaunch(onLaunched?: () => void) {
  const source = useSource();
  const navigate = useNavigate();
  const { busy, error, act } = useAction();
  const key = useRef({ text: '', key: '' });
  const keyOf = (asked: unknown): string => {
    const text = JSON.stringify(asked);
    if (key.current.text !== text) key.current = { text, key: newKey() };
    return key.current.key;
  };
  const launch = <K extends Launching>(command: K, request: Omit<Args[K], 'idempotency_key'>) =>
    act('launch', async () => {
      const args = { ...request, idempotency_key: keyOf(request) } as Args[K];
      const made: Queued | Queued[] = await source.command(command, args);
      key.current = { text: '', key: '' };
      navigate(
        Array.isArray(made)
          ? { view: 'compare', ids: made.map(({ id }) => id) }
          : { view: 'run', id: made.id },
      );
      onLaunched?.();
    });
  return { busy: busy !== null, error, launch };
}

/** The primary button of such a form. */
export const LaunchButton = ({ busy, disabled }: { busy: boolean; disabled: boolean }) => (
  <Button primary type="submit" busy={busy} disabled={disabled}>
    {busy ? 'Launching…' : 'Launch'}
  </Button>
);

interface TextProps {
  title: string;
  note?: string;
  value: string;
  /** Names that were given before. */
  suggestions?: string[];
  onChange: (value: string) => void;
}

export const RunName = ({ title, note, value, suggestions = [], onChange }: TextProps) => (
  <Labelled title={title} note={value ? undefined : note}>
    {id => (
      <>
        <input
          id={id}
          name="run-name"
          value={value}
          maxLength={200}
          list={suggestions.length > 0 ? `${id}-list` : undefined}
          autoComplete="off"
          onChange={e => onChange(e.target.value)}
        />
        <datalist id={`${id}-list`}>
          {suggestions.map(name => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </>
    )}
  </Labelled>
);

/** The project of the run; nothing where there is only the default one. `value`: its id, or empty. */
export function ProjectChoice({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const { data: projects } = useQuery('projects', {});
  const mine = projects?.filter(item => item.may_change); // a run of ours in another project would be refused
  if (!mine || mine.length < 2) return null;
  return (
    <Labelled title="Project">
      {id => (
        <select
          id={id}
          name="project"
          value={value || String(mine.find(item => item.name === 'default')?.id ?? '')}
          onChange={e => onChange(e.target.value)}
        >
          {mine.map(item => (
            <option key={item.id} value={item.id}>
              {item.name}
            </option>
          ))}
        </select>
      )}
    </Labelled>
  );
}

/** What a page shows until the answer that it is made from is there. */
export function Await<T>({
  answer,
  pending,
  children,
}: {
  answer: Pick<QueryResult<T>, 'data' | 'error' | 'reload'>;
  pending: string;
  children: (data: T) => ReactNode;
}) {
  const { data, error, reload } = answer;
  return error || data === undefined ? <Unread {...{ error, reload, pending }} /> : children(data);
}
