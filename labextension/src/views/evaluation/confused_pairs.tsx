// The pairs of classes that are confused most, each with its number of images; a pair shows its images.
import { useMemo, useState } from 'react';
import type { ConfusionCell, Evaluation } from '../data/types';
import { count, plural } from '../ui/format';
import { pairsOf } from './confusion';
import '../ui/button.css';
import './confused_pairs.css';

interface Props {
  view: Evaluation;
  label: string | undefined;
  predicted: string | undefined;
  onCell: (label: string, predicted: string) => void;
}

const PAGE = 40;

export function ConfusedPairs({ view, label, predicted, onCell }: Props) {
  const pairs = useMemo(() => pairsOf(view.cells), [view.cells]);
  const [shown, setShown] = useState(PAGE);
  const most = pairs[0]?.images ?? 1;
  const on = (pair: ConfusionCell) => pair.label === label && pair.predicted === predicted;
  return (
    <div className="imgcls-pairs">
      <ul aria-label="The most confused pairs of classes">
        {pairs.slice(0, shown).map(pair => (
          <li key={`${pair.label}\n${pair.predicted}`}>
            <button type="button" aria-pressed={on(pair)} onClick={() => onCell(pair.label, pair.predicted)}>
              <span className="imgcls-clip">
                {pair.label} <span className="imgcls-muted">→</span> <b>{pair.predicted}</b>
              </span>
              <i style={{ width: `${(pair.images / most) * 100}%` }} />
              <span className="imgcls-num">{count(pair.images)}</span>
            </button>
          </li>
        ))}
      </ul>
      {pairs.length > shown && (
        <button type="button" className="imgcls-plain" onClick={() => setShown(n => n + PAGE)}>
          {plural(pairs.length - shown, 'more pair')} ↓
        </button>
      )}
      {view.cells_left_out > 0 && (
        <p className="imgcls-muted">{plural(view.cells_left_out, 'rarer cell')} of the matrix not shown</p>
      )}
    </div>
  );
}
