// That the newest revision differs from what a run trained on; and the one button that trains a child on it, from the
// run's best checkpoint.
import { useEffect, useRef, useState } from 'react';
import type { RunCorrections } from '../evaluation/use_corrections';
import { runsStoreOf } from '../data/runs_store';
import { useSource } from '../data/source';
import type { RevisionDiff, Run, RunDetail } from '../data/types';
import { useAction, useQuery } from '../data/use_query';
import { AlreadyThere } from '../ui/already_there';
import { Button } from '../ui/button';
import { count } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { ChangeList } from './change_list';
import { whatChanged } from './corrections';
import '../ui/button.css';
import './retrain_bar.css';

/** What a run trained on, as a sentence goes on. */
const trainedOn = ({ against }: RevisionDiff): string =>
  against == null
    ? 'the corrections of a file'
    : against === 0
      ? 'the folders as they are'
      : `revision ${against}`;

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
  const [listed, setListed] = useState(false);
  const [there, setThere] = useState<Run | null>(null);
  const { dataset, draft, newest } = standing;
  const learned = run.kind === 'train' && run.best !== null;
  const asked = newest > (run.data_revision ?? 0) && draft.changes.size === 0 && learned;
  const { data: since } = useQuery('correctionsSince', asked ? { id: run.id } : null);
  const shown = asked && since !== undefined && since.total > 0;
  const bar = useRef<HTMLElement>(null);
  useEffect(() => {
    if (shown && focus) bar.current?.querySelector<HTMLElement>('.imgcls-primary')?.focus();
  }, [shown, focus]);
  if (!dataset || !shown) return null;
  const start = () =>
    act('retrain', async () => {
      const child = await source.command('retrain', { id: run.id, revision: newest });
      if (!child.made) return setThere(child);
      runsStoreOf(source).refresh();
      navigate({ view: 'run', id: child.id });
    });
  return (
    <section className="imgcls-retrain" aria-label="Corrections since this run" ref={bar}>
      {/* at the left: notifications come up at the right */}
      <Button primary busy={busy !== null} onClick={() => void start()}>
        Train again from the best
      </Button>
      <span className="imgcls-num">
        {dataset.name} is at <b>revision {newest}</b> by now: {whatChanged(since)} compared with{' '}
        {trainedOn(since)}, on which this run trained.
      </span>
      <button
        type="button"
        className="imgcls-plain"
        aria-expanded={listed}
        onClick={() => setListed(!listed)}
      >
        {listed ? 'hide' : 'show'}
      </button>
      <button
        type="button"
        className="imgcls-plain"
        onClick={() => navigate({ view: 'dataset', id: dataset.id, tab: 'Revisions' })}
      >
        all revisions
      </button>
      {there && <AlreadyThere run={there} />}
      <Problem>{error}</Problem>
      {listed && (
        <div className="imgcls-retrain-changes">
          <ChangeList
            label="What changed since this run"
            datasetId={dataset.id}
            changes={since.changes.map(({ label, found, ...change }) => ({
              ...change,
              after: label,
              gone: !found,
            }))}
          />
          {(since.more ?? 0) > 0 && <p className="imgcls-muted">{count(since.more!)} more are not listed.</p>}
        </div>
      )}
    </section>
  );
}
