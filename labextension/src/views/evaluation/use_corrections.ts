// The corrections of a run's data set, as the views of an evaluation need them: over the draft that all views share.
import { useMemo } from 'react';
import { changeKey, useDraftRevision, type DraftChange, type DraftRevision } from '../data/draft_revision';
import type { Dataset, RunDetail } from '../data/types';
import { useQuery } from '../data/use_query';
import type { Correctable, Corrections } from './corrections';

export interface RunCorrections {
  /** null: the data set of the run is not registered, or not known yet. */
  corrections: Corrections | null;
  dataset: Dataset | undefined;
  draft: DraftRevision;
  /** The newest revision; 0: the folders as they are. */
  newest: number;
}

const changeOf = (item: Correctable, part: Pick<DraftChange, 'label' | 'excluded'>): DraftChange => ({
  image: item.image,
  name: item.name,
  before: item.label,
  after: part.excluded ? null : (part.label ?? item.label),
  why: 'by hand',
  ...part,
});

/** The draft of the data set that a run trained on. */
export function useCorrections(run: RunDetail): RunCorrections {
  const { data: datasets } = useQuery('datasets', {});
  const dataset = datasets?.find(item => item.id === run.dataset_id);
  const { data: listed } = useQuery('revisions', dataset ? { id: dataset.id } : null);
  const newest = listed?.reduce((high, { number }) => Math.max(high, number), 0) ?? 0;
  const draft = useDraftRevision(dataset, newest);
  const { changes, add, undo } = draft;
  const known = dataset !== undefined && listed !== undefined;
  const corrections = useMemo((): Corrections | null => {
    if (!known) return null;
    const named = (items: readonly Correctable[]) => items.filter(item => item.image !== '');
    return {
      count: changes.size,
      of: image => {
        const change = changes.get(changeKey(image));
        return change && { label: change.label ?? undefined, excluded: change.excluded };
      },
      relabel: (items, label) => add(named(items).map(item => changeOf(item, { label }))),
      exclude: items => add(named(items).map(item => changeOf(item, { excluded: true }))),
      undo,
    };
  }, [known, changes, add, undo]);
  return { corrections, dataset, draft, newest };
}
