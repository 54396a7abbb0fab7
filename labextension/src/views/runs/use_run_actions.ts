// What the page of runs does with runs, and the message about what was done last.
import { useCallback, useState } from 'react';
import { edited, editRuns, tagsIn, type Outcome, type Work } from './run_actions';
import { messageOf, useSource } from '../data/source';
import type { Run } from '../data/types';

export interface RunActions {
  /** Something is under way. */
  busy: boolean;
  outcome: Outcome | null;
  error: string | null;
  act: (work: Work) => void;
  undo: () => void;
  dismiss: () => void;
  /** Write a column of a run that is edited in place. */
  save: (run: Run, column: string, value: string) => void;
}

export function useRunActions(onDone: (outcome: Outcome) => void): RunActions {
  const source = useSource();
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [error, setError] = useState<string | null>(null);
  const act = useCallback(
    (work: Work) => {
      setBusy(true);
      setError(null);
      work(source)
        .then(
          done => {
            setOutcome(done);
            onDone(done);
          },
          problem => {
            setOutcome(null);
            setError(messageOf(problem));
          },
        )
        .finally(() => setBusy(false));
    },
    [source, onDone],
  );
  const undo = useCallback(() => {
    if (outcome?.undo) act(outcome.undo);
  }, [act, outcome]);
  const dismiss = useCallback(() => {
    setOutcome(null);
    setError(null);
  }, []);
  const save = useCallback(
    (run: Run, column: string, value: string) => {
      if (column === 'name') {
        if (value) act(to => editRuns(to, [run], { name: value }, edited.rename(value)));
      } else if (column === 'notes') act(to => editRuns(to, [run], { notes: value }, edited.notes(run.name)));
      else act(to => editRuns(to, [run], { tags: tagsIn(value) }, edited.tags(run.name)));
    },
    [act],
  );
  return { busy, outcome, error, act, undo, dismiss, save };
}
