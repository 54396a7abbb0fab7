// The revisions of a data set: who changed what, with the images before -> after; undo, a new run, export.
import { useState } from 'react';
import { mutate } from '../data/mutate';
import { useSource } from '../data/source';
import type { DatasetDetail, Revision } from '../data/types';
import { useAction, useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { ConfirmButton } from '../ui/confirm_button';
import { count, moment, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { ChangeList } from './change_list';
import { whatChanged } from './corrections';
import { ExportSentence } from './dataset_export';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './dataset_revisions.css';

function Diff({ id, revision }: { id: number; revision: Revision }) {
  const { data, error } = useQuery('revision', { id, number: revision.number });
  if (!data) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the changes…</p>;
  return (
    <>
      <ChangeList
        label={`Changes of revision ${revision.number}`}
        datasetId={id}
        changes={data.changes.map(({ image, name, before, label, why, found }) => ({
          image,
          name,
          before,
          after: label,
          why,
          gone: !found,
        }))}
      />
      {(data.more ?? 0) > 0 && <p className="imgcls-muted">{count(data.more!)} more are not listed.</p>}
    </>
  );
}

interface ItemProps {
  detail: DatasetDetail;
  revision: Revision;
  open: boolean;
  onOpen: (open: boolean) => void;
}

function Item({ detail: { dataset, newest_revision }, revision, open, onOpen }: ItemProps) {
  const source = useSource();
  const navigate = useNavigate();
  const { busy, error, act } = useAction();
  const [exporting, setExporting] = useState(false);
  const { number, message, author, created_at, runs, total } = revision;
  return (
    <li className="imgcls-card imgcls-revision">
      <div className="imgcls-filters">
        <h3>
          Revision {number} {number === newest_revision && <span className="imgcls-muted">the newest</span>}
        </h3>
        <span className="imgcls-num">{whatChanged(revision) || 'no change'}</span>
        {message && <span className="imgcls-note imgcls-clip">“{message}”</span>}
        <span className="imgcls-spacer" />
        <span className="imgcls-muted imgcls-num">
          {author} · {moment(created_at)} · {runs === 0 ? 'no run yet' : plural(runs, 'run')}
        </span>
      </div>
      <div className="imgcls-buttons">
        <Button aria-expanded={open} onClick={() => onOpen(!open)}>
          {open ? 'Hide changes' : 'Show changes'}
        </Button>
        <Button onClick={() => navigate({ view: 'new-run', dataset: dataset.id, revision: number })}>
          Train on it…
        </Button>
        <Button aria-expanded={exporting} onClick={() => setExporting(!exporting)}>
          Export…
        </Button>
        {dataset.may_change && (
          <ConfirmButton
            label="Undo…"
            question={`Take back what revision ${number} changed, as revision ${newest_revision + 1}?`}
            busy={busy !== null}
            onConfirm={() =>
              void act('undo', () => mutate(source, 'revisions.undo', { id: dataset.id, number }))
            }
          />
        )}
        <span className="imgcls-muted imgcls-num">
          {plural(total, 'image')} {total === 1 ? 'differs' : 'differ'} from the folders after it
        </span>
      </div>
      <Problem>{error}</Problem>
      {exporting && <ExportSentence name={dataset.name} revision={number} />}
      {open && <Diff id={dataset.id} revision={revision} />}
    </li>
  );
}

export function DatasetRevisions({ detail }: { detail: DatasetDetail }) {
  const { data, error } = useQuery('revisions', { id: detail.dataset.id });
  const [open, setOpen] = useState<number | null>();
  if (!data)
    return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the revisions…</p>;
  const newestFirst = [...data].sort((a, b) => b.number - a.number);
  const shown = open === undefined ? newestFirst[0]?.number : open;
  return (
    <div className="imgcls-stack">
      <p className="imgcls-note">
        A revision holds corrections: other labels, and images that are excluded. The files are never touched.
        {data.length === 0 && ' There is none yet: relabel or exclude images, then save the corrections.'}
      </p>
      <Problem>{error}</Problem>
      <ul className="imgcls-stack">
        {newestFirst.map(revision => (
          <Item
            key={revision.number}
            {...{ detail, revision }}
            open={shown === revision.number}
            onOpen={wanted => setOpen(wanted ? revision.number : null)}
          />
        ))}
      </ul>
    </div>
  );
}
