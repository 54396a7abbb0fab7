// What the home takes on its disks: the devices page shows each part with its size, and what frees it.
import { useState } from 'react';
import type { Disk, Storage as HomeStorage, StoragePart } from '../data/types';
import { isUnderway, useJob, type WatchedJob } from '../data/use_job';
import { useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { ConfirmButton } from '../ui/confirm_button';
import { bytes, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { JobProgress } from './job_progress';
import '../ui/layout.css';
import './machines.css';
import '../ui/run_state.css';
import '../ui/table.css';
import './storage.css';

type Kind = StoragePart['kind'];

/** What a part is, what counts in it, and what freeing it means. */
const ABOUT: Record<Kind, { note: string; item: [one: string, many?: string]; cost?: string }> = {
  runs: { note: 'configs, curves, checkpoints, logs', item: ['run'] },
  models: { note: 'weights that were put into the home', item: ['file'] },
  hub: {
    note: 'of those for images alone; what other programs keep there stays',
    item: ['model'],
    cost: 'Runs that start with them download them again, which needs a connection.',
  },
  objects: { note: 'of runs that are deleted here', item: ['run'] },
  images: {
    note: 'so that no image is decoded twice',
    item: ['image'],
    cost: 'Later runs decode their images again.',
  },
  pictures: { note: 'small pictures for the pages', item: ['picture'], cost: 'Pages make them again.' },
  compiled: { note: 'of runs that compile', item: ['file'], cost: 'Later runs compile again, for minutes.' },
  scans: { note: 'so that a data set is read once', item: ['file'] },
  exports: {
    note: 'exported, or sent here to be imported',
    item: ['file'],
    cost: 'Files that nobody has downloaded are gone.',
  },
  backups: {
    note: 'made before each change of its form',
    item: ['copy', 'copies'],
    cost: 'The newest stays.',
  },
};

/** The runs, those that take most first. */
const LARGEST_FIRST = {
  where: '',
  sorting: { sort: 'size', order: 'desc' },
  columns: null,
  group: [],
} as const;

function Buttons({
  part,
  busy,
  mine,
  onFree,
}: {
  part: StoragePart;
  busy: boolean;
  mine: boolean;
  onFree: () => void;
}) {
  const navigate = useNavigate();
  const { kind, frees } = part;
  if (kind === 'runs')
    return <Button onClick={() => navigate({ view: 'runs', list: LARGEST_FIRST })}>Largest first</Button>;
  if (frees == null) return null;
  const what = kind === 'backups' ? 'Delete older' : 'Clear';
  return (
    <ConfirmButton
      label={busy && mine ? 'Freeing…' : `${what}…`}
      question={`Free ${bytes(frees)}? ${ABOUT[kind].cost ?? ''}`}
      busy={busy && mine}
      disabled={frees === 0 || busy}
      title={frees === 0 ? 'There is nothing to free' : undefined}
      onConfirm={onFree}
    />
  );
}

function Row(props: {
  part: StoragePart;
  largest: number;
  watched: WatchedJob;
  mine: boolean;
  onFree: () => void;
}) {
  const { part, largest, watched, mine, onFree } = props;
  const { kind, title, size, items, frees, note } = part;
  const { note: about, item } = ABOUT[kind];
  const freed = mine ? watched.job?.freed : null;
  return (
    <tr data-part={kind}>
      <td>
        <b>{title}</b> <span className="imgcls-muted imgcls-num">{plural(items, ...item)}</span>
        <div className="imgcls-muted">{about}</div>
        {note && <div className="imgcls-note">{note}</div>}
        {freed && (
          <div className="imgcls-note" role="status">
            Freed {bytes(freed.freed)}.
          </div>
        )}
        {mine && <JobProgress watched={watched} doing="Freeing" />}
      </td>
      <td className="imgcls-nowrap">
        {sizeText(part)}
        <div className="imgcls-bar imgcls-storage-bar" aria-hidden="true">
          <i style={{ width: `${largest > 0 ? (size / largest) * 100 : 0}%` }} />
        </div>
      </td>
      <td className="imgcls-nowrap">{frees ? bytes(frees) : '–'}</td>
      <td className="imgcls-nowrap">
        <Buttons {...{ part, mine, onFree }} busy={isUnderway(watched.job)} />
      </td>
    </tr>
  );
}

/** "at least 1.2 GB" where it was looked through in part. */
const sizeText = ({ size, at_least }: StoragePart): string =>
  !at_least ? bytes(size) : size > 0 ? `at least ${bytes(size)}` : 'not counted yet';

const diskText = ({ holds, free, total }: Disk): string =>
  `${bytes(free)} of ${bytes(total)} free on the disk of the ${holds}`;

export function Storage() {
  const { data, error, loading } = useQuery('storage', {});
  const [freeing, setFreeing] = useState<Kind | null>(null);
  const watched = useJob({ kind: 'free' }, ['storage', 'archives']);
  const free = (kind: Kind) => {
    setFreeing(kind);
    void watched.start('storage.free', { kind });
  };
  const parts = (data as HomeStorage | undefined)?.parts ?? [];
  const largest = Math.max(0, ...parts.map(part => part.size));
  return (
    <section className="imgcls-card imgcls-stack" aria-label="Storage">
      <h2 className="imgcls-card-head imgcls-devices-title">
        Storage
        <span className="imgcls-muted imgcls-num">{data?.disks.map(diskText).join(' · ')}</span>
      </h2>
      <Problem>{error}</Problem>
      {!data && loading && (
        <p className="imgcls-muted">Measuring what the home takes; a large one needs some seconds…</p>
      )}
      {data && (
        <div className="imgcls-scroll">
          <table className="imgcls-table">
            <thead>
              <tr>
                <th>what</th>
                <th>on disk</th>
                <th>can be freed</th>
                <th aria-label="Actions" />
              </tr>
            </thead>
            <tbody>
              {parts.map(part => (
                <Row
                  key={part.kind}
                  {...{ part, largest, watched }}
                  mine={freeing === null ? watched.job?.subject === part.title : freeing === part.kind}
                  onFree={() => free(part.kind)}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
