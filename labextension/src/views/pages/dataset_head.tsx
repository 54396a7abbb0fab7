// The head of a data set's page: its name, whether it can be trained on, and what can be done with it.
import { useState } from 'react';
import { mutate } from '../data/mutate';
import { useSource } from '../data/source';
import type { DatasetDetail } from '../data/types';
import { useAction } from '../data/use_query';
import { Button } from '../ui/button';
import { leaf, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { ExportSentence } from './dataset_export';
import { belongsTo } from './owner';
import { ItemForm } from './registry_item_form';
import type { Item } from './registry_kinds';
import '../ui/layout.css';
import './dataset_head.css';
import './run_head.css';

interface Props {
  detail: DatasetDetail;
  /** Whether "New run on it" is what one most likely does next. */
  primary: boolean;
}

export function DatasetHead({ detail, primary }: Props) {
  const source = useSource();
  const navigate = useNavigate();
  const { busy, error, act } = useAction();
  const [open, setOpen] = useState<'edit' | 'export' | null>(null);
  const { dataset, newest_revision: newest, runs, stale } = detail;
  const toggle = (what: typeof open) => setOpen(open === what ? null : what);
  return (
    <>
      <div className="imgcls-head">
        <div className="imgcls-head-line">
          <h1 className="imgcls-clip imgcls-head-title">{dataset.name}</h1>
          <div className="imgcls-buttons">
            <Button
              primary={primary}
              disabled={dataset.problem !== null}
              onClick={() =>
                navigate({ view: 'new-run', dataset: dataset.id, ...(newest > 0 && { revision: newest }) })
              }
            >
              New run on it…
            </Button>
            {dataset.may_change && (
              <>
                <Button
                  busy={busy === 'rescan'}
                  title="Look at the folder again: classes, images, what is wrong"
                  onClick={() =>
                    void act('rescan', () => mutate(source, 'datasets.rescan', { id: dataset.id }))
                  }
                >
                  Rescan
                </Button>
                <Button aria-expanded={open === 'edit'} onClick={() => toggle('edit')}>
                  Edit…
                </Button>
              </>
            )}
            <Button aria-expanded={open === 'export'} onClick={() => toggle('export')}>
              Export…
            </Button>
          </div>
        </div>
        <div className="imgcls-chips">
          <span className="imgcls-chip">
            <span
              className={dataset.problem ? 'imgcls-usable imgcls-unusable' : 'imgcls-usable'}
              aria-hidden="true"
            />{' '}
            {dataset.problem ? 'cannot be used' : 'usable'}
          </span>
          <span className="imgcls-chip">{newest === 0 ? 'labels of its folders' : `revision ${newest}`}</span>
          <span className="imgcls-chip" title={dataset.root}>
            {leaf(dataset.root)}
          </span>
          <span className="imgcls-chip">{runs === 0 ? 'no run yet' : `used by ${plural(runs, 'run')}`}</span>
          {dataset.owner && <span className="imgcls-chip">{dataset.owner}</span>}
        </div>
        <Problem>{error}</Problem>
      </div>
      <div className="imgcls-dataset-notes">
        <Problem>{dataset.problem}</Problem>
        {stale && (
          <p className="imgcls-note">Files changed since the last scan: rescan, or audit it again.</p>
        )}
        {!dataset.may_change && dataset.owner && <p className="imgcls-note">{belongsTo(dataset.owner)}</p>}
        {dataset.description && <p className="imgcls-note">{dataset.description}</p>}
        {dataset.notes.map(note => (
          <p key={note} className="imgcls-note">
            {note}
          </p>
        ))}
        {open === 'edit' && (
          <ItemForm
            registry="datasets"
            item={dataset as unknown as Item}
            onDone={() => setOpen(null)}
            onCancel={() => setOpen(null)}
          />
        )}
        {open === 'export' && <ExportSentence name={dataset.name} revision={newest} />}
      </div>
    </>
  );
}
