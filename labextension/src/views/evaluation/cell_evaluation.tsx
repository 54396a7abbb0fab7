// The evaluation of a run in a cell: metrics, confusion and images, read when somebody unfolds it. Nothing is corrected
// here: the page of the run does that.
import { useState } from 'react';
import type { Run } from '../data/types';
import { usePages } from '../data/use_pages';
import { useQuery } from '../data/use_query';
import { useOnChange } from '../data/use_runs';
import { EvaluatedImages } from './evaluated_images';
import { ALL_MISTAKES, evaluatedMark, queryOf } from './filter';
import '../ui/layout.css';

function Unfolded({ run }: { run: Run }) {
  const [filter, setFilter] = useState(ALL_MISTAKES);
  const version = evaluatedMark(run);
  const { data: view, error, reload } = useQuery('evaluation', { id: run.id });
  const images = usePages('evaluated', view ? queryOf(run.id, 'best', filter) : null);
  useOnChange(version, reload);
  useOnChange(version, images.reload);
  if (!view) return <p className="imgcls-muted">{error ?? 'Reading the evaluation…'}</p>;
  return (
    // the keys of its matrix and its grid are none of the notebook's
    <div className="imgcls-evaluation imgcls-stack" data-lm-suppress-shortcuts="true">
      <EvaluatedImages {...{ id: run.id, view, filter, images }} corrections={null} onFilter={setFilter} />
    </div>
  );
}

export function CellEvaluation({ run }: { run: Run }) {
  const [open, setOpen] = useState(false);
  if (evaluatedMark(run).trim() === '') return null;
  return (
    <details onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>Evaluation: mistakes and confusion</summary>
      {open && <Unfolded run={run} />}
    </details>
  );
}
