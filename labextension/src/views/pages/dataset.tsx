// The page of a data set: what is in it, its images, the problems that an audit found, its map and its revisions.
// Corrections that one makes on any of them wait in one draft at its foot.
import { useLayoutEffect, useRef, useState } from 'react';
import { onResize } from '../ui/on_resize';
import { useDraftRevision } from '../data/draft_revision';
import { isActive, type Audit, type Dataset, type DatasetDetail, type Revision } from '../data/types';
import { usePoll } from '../data/use_poll';
import { useQuery } from '../data/use_query';
import { useOnChange } from '../data/use_runs';
import { count } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { Tabs } from '../ui/tabs';
import { AuditPanel } from './audit_panel';
import { DatasetFigures } from './dataset_figures';
import { DatasetHead } from './dataset_head';
import { ALL_IMAGES, DatasetImages, type ImagesFilter } from './dataset_images';
import { DatasetMap } from './dataset_map';
import { DatasetOverview } from './dataset_overview';
import { DatasetProblems } from './dataset_problems';
import { DatasetRevisions } from './dataset_revisions';
import { DraftBar } from './draft_bar';
import { Gone, Unread, useTitle, type PageProps } from '../ui/page_frame';
import '../ui/layout.css';
import './dataset.css';

const TABS = ['Overview', 'Images', 'Problems', 'Map', 'Revisions'] as const;
export type DatasetTab = (typeof TABS)[number];
const POLL = 1000; // ms, while an audit runs

/** The newest audit, followed while it runs. */
function useAudit(id: number, moved: () => void): { audit: Audit | undefined; error: string | null } {
  const { data: audit, error, reload } = useQuery('audit', { id });
  usePoll(reload, POLL, audit?.state != null && isActive(audit.state));
  useOnChange(audit && `${audit.state} ${audit.phase}`, moved); // after the phase of the files the images are known
  return { audit, error };
}

/** Columns of class bars that have room. */
function useColumns(box: React.RefObject<HTMLElement | null>, ready: boolean): number {
  const [columns, setColumns] = useState(2);
  useLayoutEffect(() => {
    if (!box.current) return;
    const read = () => setColumns((box.current?.clientWidth ?? 1000) < 620 ? 1 : 2);
    read();
    return onResize(box.current, read);
  }, [box, ready]);
  return columns;
}

/** What was saved last, and what one may do with it. */
function Saved({ revision, datasetId }: { revision: Revision; datasetId: number }) {
  const navigate = useNavigate();
  return (
    <p className="imgcls-note imgcls-saved" role="status">
      Revision {revision.number} is saved.{' '}
      <button
        type="button"
        className="imgcls-plain"
        onClick={() => navigate({ view: 'new-run', dataset: datasetId, revision: revision.number })}
      >
        Train on it…
      </button>
    </p>
  );
}

/** Of a data set whose files nobody has looked at before. */
const FirstLook = ({ dataset, audit }: { dataset: Dataset; audit: Audit }) => (
  <div className="imgcls-stack">
    <AuditPanel {...{ dataset, audit }} />
    <p className="imgcls-muted">The images are shown here as soon as the audit has looked at the files.</p>
  </div>
);

interface ReadProps {
  detail: DatasetDetail;
  tab: DatasetTab;
  onTab: (tab: DatasetTab) => void;
  reload: () => void;
}

function Page({ detail, tab, onTab, reload }: ReadProps) {
  const { dataset, newest_revision: newest } = detail;
  const box = useRef<HTMLElement>(null);
  const columns = useColumns(box, true);
  const { audit, error } = useAudit(dataset.id, reload);
  const draft = useDraftRevision(dataset, newest);
  const [filter, setFilter] = useState<ImagesFilter>(ALL_IMAGES);
  const [saved, setSaved] = useState<Revision | null>(null);
  const problems = Object.values(audit?.counts ?? {}).reduce((sum, n) => sum + n, 0);
  const openClass = (label: string) => {
    setFilter({ ...ALL_IMAGES, label });
    onTab('Images');
  };
  const scan = String(detail.fingerprint); // another one: there are other images
  const looks = detail.fingerprint === null && audit?.state != null && isActive(audit.state);
  const number = (name: DatasetTab) => ({ Problems: problems, Revisions: newest })[name as 'Problems'] ?? 0;
  return (
    <article className="imgcls-dataset" data-dataset={dataset.id} ref={box}>
      <div className="imgcls-dataset-body">
        <DatasetHead detail={detail} primary={draft.changes.size === 0} />
        <DatasetFigures {...{ detail, columns }} onClass={openClass} />
        <Tabs
          label="What to see of the data set"
          names={TABS}
          open={tab}
          onOpen={onTab}
          title={name => (number(name) > 0 ? `${name} ${count(number(name))}` : name)}
          panelClass="imgcls-dataset-tab"
        >
          <h2 className="imgcls-sr">{tab}</h2>
          {looks && (tab === 'Overview' || tab === 'Images') && <FirstLook {...{ dataset, audit }} />}
          {tab === 'Overview' && !looks && (
            <DatasetOverview key={scan} {...{ detail, columns }} onClass={openClass} />
          )}
          {tab === 'Images' && !looks && (
            <DatasetImages key={scan} {...{ detail, draft, filter }} onFilter={setFilter} />
          )}
          {tab === 'Revisions' && <DatasetRevisions detail={detail} />}
          {tab === 'Problems' && audit && <DatasetProblems {...{ dataset, audit, draft }} />}
          {tab === 'Map' && audit && <DatasetMap {...{ dataset, audit, draft }} />}
          {(tab === 'Problems' || tab === 'Map') && <Problem>{error}</Problem>}
        </Tabs>
      </div>
      {saved?.number === newest && draft.changes.size === 0 && (
        <Saved revision={saved} datasetId={dataset.id} />
      )}
      <DraftBar {...{ dataset, newest, draft }} onSaved={setSaved} />
    </article>
  );
}

interface Props extends PageProps {
  id: number;
  /** The tab that is open at first; Problems while an audit runs. */
  tab?: string;
  onTab?: (tab: DatasetTab) => void;
}

export function DatasetPage({ id, tab, onTab, onTitle, onClose }: Props) {
  const { data: detail, error, missing, reload } = useQuery('dataset', { id });
  const [open, setOpen] = useState<DatasetTab>(TABS.find(name => name === tab) ?? 'Overview');
  const name = detail?.dataset.name;
  useTitle(name, onTitle);
  if (missing)
    return <Gone onClose={onClose}>{name ? `“${name}”` : 'This data set'} is not registered any more.</Gone>;
  if (!detail) return <Unread {...{ error, reload }} pending="Reading the data set…" />;
  const change = (next: DatasetTab) => {
    setOpen(next);
    onTab?.(next);
  };
  return <Page {...{ detail, reload }} tab={open} onTab={change} />;
}
