// Corrections with their images, before -> after: those of a draft and those of a revision.
import type { ReactNode } from 'react';
import { Thumbnail } from '../images/thumbnail';
import { VirtualList } from '../ui/virtual_list';
import './change_list.css';

const ROW = 60;
const MOST = 5; // rows in view

export interface ListedChange {
  image: string;
  name: string;
  /** null: it was excluded. */
  before: string | null;
  /** null: it is excluded now. */
  after: string | null;
  why?: string;
  /** The file is gone, or has other content by now. */
  gone?: boolean;
}

const Label = ({ children }: { children: string | null }) =>
  children === null ? <span className="imgcls-excluded">excluded</span> : <b>{children}</b>;

interface Props {
  label: string;
  datasetId: number;
  changes: readonly ListedChange[];
  /** At the end of each row. */
  action?: (index: number) => ReactNode;
}

export function ChangeList({ label, datasetId, changes, action }: Props) {
  const row = (index: number) => {
    const { image, name, before, after, why, gone } = changes[index]!;
    return (
      <div className="imgcls-change">
        <Thumbnail
          of={gone ? null : { kind: 'dataset', id: datasetId, image }}
          alt=""
          edge={48}
          problem={gone ? 'The file is gone or was replaced.' : null}
        />
        <div className="imgcls-clip">
          <div className="imgcls-clip">
            <Label>{before}</Label> → <Label>{after}</Label>
          </div>
          <div className="imgcls-muted imgcls-clip" title={name}>
            {name}
            {why && ` · ${why.replaceAll('_', ' ')}`}
            {gone && ' · its file is gone or was replaced'}
          </div>
        </div>
        {action?.(index)}
      </div>
    );
  };
  return (
    <div className="imgcls-changes" style={{ height: Math.min(changes.length, MOST) * ROW }}>
      <VirtualList label={label} total={changes.length} rowHeight={ROW} row={row} />
    </div>
  );
}
