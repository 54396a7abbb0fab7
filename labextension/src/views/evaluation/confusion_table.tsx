// The confusion matrix of up to some dozen classes, as a grid of buttons: arrows move, Enter shows the images of a cell.
import { useMemo, useRef, useState, type KeyboardEvent } from 'react';
import type { Evaluation } from '../data/types';
import { imagesAt, matrixOf, shadeOf } from './confusion';
import './confusion_table.css';

interface Props {
  view: Evaluation;
  label: string | undefined;
  predicted: string | undefined;
  /** A cell was chosen. */
  onCell: (label: string, predicted: string) => void;
  /** The row of a true class was chosen. */
  onClass: (label: string) => void;
}

type Place = readonly [row: number, column: number];

/** Where a key leads; undefined: the key moves nothing. */
export function placeAfter(key: string, [row, column]: Place, size: number): Place | undefined {
  const last = size - 1;
  switch (key) {
    case 'ArrowUp':
      return [Math.max(0, row - 1), column];
    case 'ArrowDown':
      return [Math.min(last, row + 1), column];
    case 'ArrowLeft':
      return [row, Math.max(0, column - 1)];
    case 'ArrowRight':
      return [row, Math.min(last, column + 1)];
    case 'Home':
      return [row, 0];
    case 'End':
      return [row, last];
    default:
      return undefined;
  }
}

/** The cell with the most mistakes: where the focus comes in. */
function worstPlace(view: Evaluation): Place {
  const worst = view.cells
    .filter(cell => cell.label !== cell.predicted)
    .reduce<(typeof view.cells)[number] | null>(
      (most, cell) => (most && most.images >= cell.images ? most : cell),
      null,
    );
  return worst ? [view.class_names.indexOf(worst.label), view.class_names.indexOf(worst.predicted)] : [0, 0];
}

export function ConfusionTable({ view, label, predicted, onCell, onClass }: Props) {
  const matrix = useMemo(() => matrixOf(view), [view]);
  const { names } = matrix;
  const body = useRef<HTMLTableSectionElement>(null);
  const [moved, setMoved] = useState<Place | null>(null);
  const chosen: Place | null =
    label !== undefined && predicted !== undefined ? [names.indexOf(label), names.indexOf(predicted)] : null;
  const entry = moved ?? chosen ?? worstPlace(view);
  const onKey = (event: KeyboardEvent, place: Place) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const next = placeAfter(event.key, place, names.length);
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    setMoved(next);
    body.current?.querySelectorAll<HTMLElement>('td button')[next[0] * names.length + next[1]]?.focus();
  };
  const small = names.length > 24;
  return (
    <div className="imgcls-confusion-scroll" tabIndex={-1}>
      <table className={small ? 'imgcls-confusion imgcls-confusion-small' : 'imgcls-confusion'} role="grid">
        <caption className="imgcls-sr">
          Confusion matrix: true classes down, predicted classes across. Arrow keys move, Enter shows the
          images.
        </caption>
        <thead>
          <tr>
            <th className="imgcls-confusion-corner">true ↓</th>
            {names.map(name => (
              <th key={name} scope="col" title={name} data-on={name === predicted || undefined}>
                <span>{name}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {names.map((trueName, i) => (
            <tr key={trueName}>
              <th scope="row" title={trueName} data-on={trueName === label || undefined}>
                <button type="button" tabIndex={-1} onClick={() => onClass(trueName)}>
                  {trueName}
                </button>
              </th>
              {names.map((name, j) => {
                const images = imagesAt(matrix, trueName, name);
                const shade = shadeOf(matrix, trueName, name);
                const on = trueName === label && name === predicted;
                return (
                  <td key={name}>
                    <button
                      type="button"
                      tabIndex={entry[0] === i && entry[1] === j ? 0 : -1}
                      aria-label={`true ${trueName}, predicted ${name}: ${images}`}
                      title={`true ${trueName}, predicted ${name}: ${images} of ${matrix.totals.get(trueName) ?? 0}`}
                      aria-pressed={on}
                      style={
                        shade
                          ? {
                              background: `color-mix(in srgb, var(--imgcls-${i === j ? 'ok' : 'error'}) ${shade}%, var(--imgcls-bg))`,
                            }
                          : undefined
                      }
                      onClick={() => {
                        setMoved([i, j]);
                        onCell(trueName, name);
                      }}
                      onKeyDown={event => onKey(event, [i, j])}
                    >
                      {images && !small ? images : ''}
                    </button>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
