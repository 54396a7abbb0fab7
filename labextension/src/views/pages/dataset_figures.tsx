// What a data set holds, at the top of its page: numbers, and the images of its classes by split.
import type { DatasetDetail } from '../data/types';
import { bytes, count, percent, plural } from '../ui/format';
import { ClassBars, Legend, SPLITS, imagesOf, imbalance } from './class_bars';
import './dataset_figures.css';

interface Figure {
  title: string;
  value: string;
  note: string;
}

const sumOf = (detail: DatasetDetail, split: string): number =>
  detail.classes.reduce((sum, item) => sum + (item.images[split] ?? 0), 0);

/** Whether the images are counted: an audit or a training has looked at the files. */
const isScanned = ({ classes }: DatasetDetail): boolean =>
  classes.some(item => Object.keys(item.images).length > 0);

function figuresOf(detail: DatasetDetail): Figure[] {
  const all = detail.classes.reduce((sum, item) => sum + imagesOf(item), 0);
  const scanned = isScanned(detail);
  const splits = SPLITS.filter(split => sumOf(detail, split) > 0);
  const part = (split: string): Figure => {
    const n = sumOf(detail, split);
    return { title: split, value: count(n), note: all > 0 ? percent(n / all) : '' };
  };
  const train = detail.classes.map(item => item.images.train ?? imagesOf(item));
  const [least, most] = [Math.min(...train), Math.max(...train)];
  const formats = Object.entries(detail.formats ?? {}).sort(([, a], [, b]) => b - a);
  const [[main] = [''], ...others] = formats;
  return [
    {
      title: 'images',
      value: scanned ? count(all) : '–',
      note: !scanned
        ? 'not scanned yet'
        : detail.revision > 0
          ? `revision ${detail.revision}`
          : 'no revision',
    },
    ...splits.map(part),
    {
      title: 'classes',
      value: count(detail.classes.length),
      note:
        !scanned || train.length === 0
          ? ''
          : least === most
            ? `${count(least)} each`
            : `${count(least)}–${count(most)} in train`,
    },
    {
      title: 'on disk',
      value: bytes(detail.bytes),
      note:
        detail.formats === null
          ? 'not scanned yet'
          : [main, ...others.slice(0, 1).map(([name, m]) => `${count(m)} ${name}`)]
              .filter(Boolean)
              .join(', '),
    },
  ];
}

export const IN_HEAD = 12; // classes

/** The classes that the head shows: all, or the largest and the smallest. */
function shownOf({ classes }: DatasetDetail) {
  if (classes.length <= IN_HEAD) return classes;
  const sorted = [...classes].sort((a, b) => imagesOf(b) - imagesOf(a));
  return [...sorted.slice(0, IN_HEAD / 2), ...sorted.slice(-IN_HEAD / 2)];
}

interface Props {
  detail: DatasetDetail;
  columns: number;
  /** Show the images of a class. */
  onClass: (name: string) => void;
}

export function DatasetFigures({ detail, columns, onClass }: Props) {
  const shown = shownOf(detail);
  const more = detail.classes.length - shown.length;
  const scanned = isScanned(detail);
  const warning = scanned ? imbalance(detail.classes) : null;
  return (
    <div className="imgcls-dataset-figures">
      <dl className="imgcls-figures imgcls-num">
        {figuresOf(detail).map(({ title, value, note }) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>
              <b>{value}</b>
              <span className="imgcls-muted">{note}</span>
            </dd>
          </div>
        ))}
      </dl>
      <div>
        {scanned && <ClassBars classes={shown} columns={columns} lines={IN_HEAD} onOpen={onClass} />}
        <div className="imgcls-figures-foot">
          <Legend splits={SPLITS.filter(split => sumOf(detail, split) > 0)} />
          {scanned && more > 0 && (
            <span className="imgcls-muted">
              the largest and the smallest; {plural(more, 'class', 'classes')} more below
            </span>
          )}
          <span className="imgcls-spacer" />
          {warning && <span className="imgcls-imbalance">{warning}</span>}
        </div>
      </div>
    </div>
  );
}
