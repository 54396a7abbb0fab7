// The page of all runs, some of them chosen to be compared.
import { useState } from 'react';
import type { Run } from '../data/types';
import { Button } from '../ui/button';
import { useNavigate } from '../ui/navigation';
import { RunsTable } from './runs_table';
import '../ui/layout.css';

/** The page of all runs. */
export function RunsPage() {
  const navigate = useNavigate();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const choose = (run: Run, on: boolean) =>
    setChosen(was => {
      const next = new Set(was);
      if (on) next.add(run.id);
      else next.delete(run.id);
      return next;
    });
  return (
    <div className="imgcls-page">
      <header className="imgcls-page-head">
        <h1>Runs</h1>
      </header>
      <RunsTable chosen={chosen} onChoose={choose}>
        {chosen.size > 0 && (
          <button type="button" className="imgcls-plain" onClick={() => setChosen(new Set())}>
            clear {chosen.size}
          </button>
        )}
        <Button
          disabled={chosen.size === 0}
          onClick={() => navigate({ view: 'tensorboard', run_ids: [...chosen] })}
        >
          TensorBoard
        </Button>
        <Button
          primary
          disabled={chosen.size < 2}
          onClick={() => navigate({ view: 'compare', ids: [...chosen] })}
        >
          {chosen.size < 2 ? 'Compare' : `Compare ${chosen.size}`}
        </Button>
      </RunsTable>
    </div>
  );
}
