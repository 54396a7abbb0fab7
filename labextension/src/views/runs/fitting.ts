// Which columns the table of runs has in the room that there is, and how wide they are. First columns become narrower,
// so that the names are read; then those leave that nobody has asked for. Pure; no view.
import { CURVE } from '../data/types';
import { widthOf, type Column } from './columns';

export const CHECK = 30; // width of the boxes
const NAME = 160; // least width of the names
const WHOLE_NAME = 230; // in which most names, and what kind of group it is, are read whole

/** Columns that leave for want of room, the first one first. */
const LEAVE: readonly string[] = ['size', 'epoch', CURVE, 'ran', 'lr', 'model', 'owner', 'created'];

export interface Fit {
  columns: readonly Column[];
  /** The widths of all that stands in a row, as a grid's template. */
  template: string;
  /** Least width of a row: where there is less room the table scrolls sideways. */
  least: number;
  /** Keys of the columns that have no room. */
  lacking: readonly string[];
  /** The names have not the room that they need. */
  tight: boolean;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);

interface Table {
  /** CSS pixels; 0: not known yet. */
  room: number;
  /** Nobody has chosen these columns. */
  flexible: boolean;
  /** By which column. */
  sorted: string;
  /** Rows may stand for several runs. */
  grouped: boolean;
}

export function fitted(all: readonly Column[], { room, flexible, sorted, grouped }: Table): Fit {
  const leastOf = ({ key, title, short = title, width, least = width, ofGroups = least }: Column): number =>
    Math.min(width, Math.max(grouped ? ofGroups : least, widthOf(short, key === sorted)));
  let columns = all;
  const lacks = () => room > 0 && CHECK + NAME + sum(columns.map(leastOf)) > room;
  if (flexible)
    for (const key of LEAVE)
      if (key !== sorted && lacks()) columns = columns.filter(column => column.key !== key);
  const least = columns.map(leastOf);
  const spare = columns.map(({ width }, place) => width - least[place]!);
  const over = room === 0 ? 0 : CHECK + WHOLE_NAME + sum(columns.map(({ width }) => width)) - room;
  const share = Math.min(1, Math.max(0, over / (sum(spare) || 1))); // of the spare widths that the columns give away
  const widths = columns.map(({ width }, place) => Math.floor(width - share * spare[place]!));
  const titled = columns.map((column, place) =>
    column.short !== undefined && widths[place]! < widthOf(column.title, column.key === sorted)
      ? { ...column, title: column.short }
      : column,
  );
  const rest = CHECK + sum(widths);
  return {
    columns: share > 0 ? titled : columns,
    template: [`${CHECK}px`, `minmax(${NAME}px, 1fr)`, ...widths.map(width => `${width}px`)].join(' '),
    least: rest + NAME,
    lacking: all.filter(column => !columns.includes(column)).map(({ key }) => key),
    tight: room > 0 && room - rest < WHOLE_NAME,
  };
}
