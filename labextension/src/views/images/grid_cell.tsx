// One image of a grid. It is drawn again only when it changed: a grid that scrolls draws the new rows alone.
import { memo } from 'react';
import type { GridItem } from './image_grid';
import { Thumbnail } from './thumbnail';

interface Props<T> {
  index: number;
  column: number;
  edge: number;
  captionHeight: number;
  item: GridItem<T>;
  /** undefined: its page is on the way. */
  shown: T | undefined;
  active: boolean;
  /** undefined: nothing can be chosen here. */
  chosen: boolean | undefined;
}

function Cell<T>({ index, column, edge, captionHeight, item, shown, active, chosen }: Props<T>) {
  const mark = shown === undefined ? undefined : item.mark?.(shown);
  return (
    <div
      role="gridcell"
      className={mark ? `imgcls-grid-cell ${mark}` : 'imgcls-grid-cell'}
      data-index={index}
      aria-colindex={column + 1}
      aria-selected={chosen}
      aria-label={shown === undefined ? 'on the way' : item.nameOf(shown)}
      tabIndex={active ? 0 : -1}
    >
      {shown === undefined ? (
        <Thumbnail of={null} alt="" edge={edge} />
      ) : (
        <Thumbnail of={item.picture(shown)} alt="" edge={edge} problem={item.problem?.(shown)} />
      )}
      {captionHeight > 0 && (
        <div className="imgcls-grid-caption" style={{ height: captionHeight }}>
          {shown !== undefined && item.caption?.(shown)}
        </div>
      )}
    </div>
  );
}

export const GridCell = memo(Cell) as typeof Cell;
