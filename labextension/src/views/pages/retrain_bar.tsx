// That corrections came after a run trained: those just saved, or newer revisions; and the one button that trains a
// child on them, from the run's best checkpoint.
import { useEffect, useRef } from 'react';
import type { RunCorrections } from '../evaluation/use_corrections';
import { runsStoreOf } from '../data/runs_store';
import { useSource } from '../data/source';
import type { Revision, RunDetail } from '../data/types';
import { useAction } from '../data/use_query';
import { Button } from '../ui/button';
import { count } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import '../ui/button.css';
import './retrain_bar.css';

/** "12 relabelled, 3 left out" by the revisions together. */
function sumOf(revisions: readonly Revision[]): string {
  const sum = (of: (revision: Revision) => number) => revisions.reduce((all, one) => all + of(one), 0);
  const parts = [
    [sum(one => one.relabelled), 'relabelled'],
    [sum(one => one.excluded), 'left out'],
    [sum(one => one.restored), 'taken in again'],
  ] as const;
  return parts
    .filter(([n]) => n > 0)
    .map(([n, what]) => `${count(n)} ${what}`)
    .join(', ');
}

interface Props {
  run: RunDetail;
  standing: RunCorrections;
  /** Its button takes the focus: the one that saved the corrections is gone. */
  focus: boolean;
}

export function RetrainBar({ run, standing, focus }: Props) {
  const source = useSource();
  const navigate = useNavigate();
  const { busy, error, act } = useAction();
  const { dataset, draft, revisions, newest } = standing;
  const trained = run.data_revision ?? 0;
  const later = revisions.filter(revision => revision.number > trained);
  const shown = later.length > 0 && draft.changes.size === 0;
  const bar = useRef<HTMLElement>(null);
  useEffect(() => {
    if (shown && focus) bar.current?.querySelector<HTMLElement>('.imgcls-primary')?.focus();
  }, [shown, focus]);
  if (!dataset || !shown || run.kind !== 'train') return null;
  const start = () =>
    act('retrain', async () => {
      const child = await source.command('retrain', { id: run.id, revision: newest });
      runsStoreOf(source).refresh();
      navigate({ view: 'run', id: child.id });
    });
  return (
    <section className="imgcls-retrain" aria-label="Corrections since this run" ref={bar}>
      {/* at the left: notifications come up at the right */}
      <Button
        primary
        busy={busy !== null}
        disabled={run.best === null}
        title={run.best === null ? 'The run has no best checkpoint' : undefined}
        onClick={() => void start()}
      >
        Train again from the best
      </Button>
      <span className="imgcls-num">
        {dataset.name} is at <b>revision {newest}</b> by now: {sumOf(later)}. This run trained on{' '}
        {trained === 0 ? 'the folders as they are' : `revision ${trained}`}.
      </span>
      <button
        type="button"
        className="imgcls-plain"
        onClick={() => navigate({ view: 'dataset', id: dataset.id, tab: 'Revisions' })}
      >
        what changed
      </button>
      <Problem>{error}</Problem>
    </section>
  );
}
