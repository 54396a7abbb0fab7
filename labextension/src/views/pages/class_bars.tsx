// Images of each class by split, as bars: all of them in a list that draws what is in view.
import type { CSSProperties } from 'react';
import type { ClassCounts } from '../data/types';
import { count, percent } from '../ui/format';
import { VirtualList } from '../ui/virtual_list';
import './class_bars.css';

export const SPLITS = ['train', 'val', 'test'] as const;
const ROW = 22;
const FEW = 4; // classes that one column shows

export const imagesOf = ({ images }: ClassCounts): number =>
  Object.values(images).reduce((sum, n) => sum + n, 0);

/** The largest class has several times the images of the smallest; null: they are much alike. */
export function imbalance(classes: readonly ClassCounts[]): string | null {
  const train = classes.map(item => ({ name: item.name, images: item.images.train ?? imagesOf(item) }));
  const [first, ...rest] = train;
  if (!first || rest.length === 0) return null;
  const least = rest.reduce((a, b) => (b.images < a.images ? b : a), first);
  const most = rest.reduce((a, b) => (b.images > a.images ? b : a), first);
  if (least.images === 0) return `${least.name} has no image to train on`;
  const ratio = most.images / least.images;
  return ratio < 3
    ? null
    : `${least.name} has ${ratio.toFixed(ratio < 10 ? 1 : 0)} times fewer images than ${most.name}`;
}

function Bar({ item, most, onOpen }: { item: ClassCounts; most: number; onOpen?: (name: string) => void }) {
  const all = imagesOf(item);
  const parts = SPLITS.filter(split => item.images[split]);
  const text = parts.map(split => `${split} ${count(item.images[split]!)}`).join(' · ');
  return (
    <div className="imgcls-class-bar" title={`${item.name}: ${text || 'no image'}`}>
      {onOpen ? (
        <button type="button" className="imgcls-class-name imgcls-clip" onClick={() => onOpen(item.name)}>
          {item.name}
        </button>
      ) : (
        <span className="imgcls-class-name imgcls-clip">{item.name}</span>
      )}
      <span className="imgcls-class-track" aria-hidden="true">
        {parts.map(split => (
          <span
            key={split}
            className={`imgcls-split-${split}`}
            style={{ width: percent(item.images[split]! / most, 3).replace(' ', '') }}
          />
        ))}
      </span>
      <span className="imgcls-num">{count(all)}</span>
    </div>
  );
}

export const Legend = ({ splits }: { splits: readonly string[] }) => (
  <span className="imgcls-bars-legend">
    {splits.map(split => (
      <span key={split}>
        <i className={`imgcls-split-${split}`} /> {split}
      </span>
    ))}
  </span>
);

interface Props {
  classes: readonly ClassCounts[];
  /** Columns that have room. */
  columns: number;
  /** Lines that are in view at most. */
  lines: number;
  onOpen?: (name: string) => void;
}

export function ClassBars({ classes, columns: most, lines, onOpen }: Props) {
  const columns = classes.length <= FEW ? 1 : most;
  const largest = classes.reduce((high, item) => Math.max(high, imagesOf(item)), 1);
  const longest = classes.reduce((high, { name }) => Math.max(high, name.length), 0);
  const needed = Math.ceil(classes.length / columns);
  return (
    <div
      style={
        { height: Math.min(needed, lines) * ROW, '--imgcls-class-name': `${longest + 2}ch` } as CSSProperties
      }
      className="imgcls-class-bars"
    >
      <VirtualList
        label="Images of each class"
        total={classes.length}
        rowHeight={ROW}
        columns={columns}
        row={index => <Bar item={classes[index]!} most={largest} onOpen={onOpen} />}
      />
    </div>
  );
}
