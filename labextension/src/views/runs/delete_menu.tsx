// "Delete…" of the chosen runs: the server says first what that frees and which runs would stay, then it is asked.
import { useEffect, useState } from 'react';
import { messageOf, useSource } from '../data/source';
import type { Deletion, Run } from '../data/types';
import { Button } from '../ui/button';
import { count } from '../ui/format';
import { Problem } from '../ui/messages';
import { Popover } from '../ui/popover';
import { RefusedRuns } from './outcome_note';
import { deleteQuestion, deleteRuns, planDeletion, refusals, sizeOf, type Applies } from './run_actions';
import type { RunActions } from './use_run_actions';
import './chosen_bar.css';

interface Props {
  /** Those that can be deleted, as far as the page knows. */
  runs: Applies;
  chosen: readonly Run[];
  actions: RunActions;
}

export function DeleteMenu({ runs: { runs, reason }, chosen, actions }: Props) {
  const some = runs.length > 0 && runs.length < chosen.length ? ` ${count(runs.length)}` : '';
  return (
    <Popover
      up
      end
      danger
      label={[`Delete${some}`, sizeOf(runs)].filter(Boolean).join(', ') + '…'}
      title="Delete the chosen runs"
      reason={reason}
    >
      {close => <Question runs={chosen} actions={actions} close={close} />}
    </Popover>
  );
}

function Question({
  runs,
  actions,
  close,
}: {
  runs: readonly Run[];
  actions: RunActions;
  close: () => void;
}) {
  const source = useSource();
  const [plan, setPlan] = useState<Deletion | null>(null);
  const [error, setError] = useState<string | null>(null);
  const ids = runs.map(run => run.id).join();
  useEffect(() => {
    const stop = new AbortController();
    setPlan(null);
    setError(null);
    planDeletion(source, runs, stop.signal).then(
      found => stop.signal.aborted || setPlan(found),
      problem => stop.signal.aborted || setError(messageOf(problem)),
    );
    return () => stop.abort();
    // eslint-disable-next-line react-hooks/exhaustive-deps -- asked anew where other runs are chosen, not at each news of them
  }, [source, ids]);
  const going = new Set(plan?.deleted);
  return (
    <div className="imgcls-popover-form imgcls-chosen-question">
      {plan ? (
        <p>{deleteQuestion(plan)}</p>
      ) : (
        !error && <p className="imgcls-muted">Counting what that frees…</p>
      )}
      <Problem>{error}</Problem>
      {plan && <RefusedRuns refused={refusals(runs, plan.refused)} would />}
      <div className="imgcls-buttons">
        <Button
          danger
          disabled={going.size === 0}
          onClick={() => {
            close();
            actions.act(to =>
              deleteRuns(
                to,
                runs.filter(run => going.has(run.id)),
              ),
            );
          }}
        >
          Delete
        </Button>
        <Button onClick={close}>Cancel</Button>
      </div>
    </div>
  );
}
