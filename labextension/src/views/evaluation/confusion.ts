// The confusion matrix as views draw it, from the cells that are not 0. Pure.
import type { ConfusionCell, Evaluation } from '../data/types';

/** Up to so many classes the matrix is a table whose cells have the focus. */
export const TABLE_CLASSES = 60;
/** Up to so many classes the matrix is a picture; beyond, the most confused pairs alone are shown. */
export const CANVAS_CLASSES = 2000;

export interface Matrix {
  names: string[];
  /** By true class, then by predicted class. */
  rows: Map<string, Map<string, number>>;
  /** Images of each true class. */
  totals: Map<string, number>;
}

export function matrixOf(view: Pick<Evaluation, 'cells' | 'classes' | 'class_names'>): Matrix {
  const rows = new Map<string, Map<string, number>>();
  for (const { label, predicted, images } of view.cells) {
    let row = rows.get(label);
    if (!row) rows.set(label, (row = new Map()));
    row.set(predicted, images);
  }
  const totals = new Map(view.classes.map(row => [row.name, row.images]));
  return { names: view.class_names, rows, totals };
}

export const imagesAt = (matrix: Matrix, label: string, predicted: string): number =>
  matrix.rows.get(label)?.get(predicted) ?? 0;

/** The mistakes by pair of classes, most images first. */
export const pairsOf = (cells: readonly ConfusionCell[]): ConfusionCell[] =>
  cells.filter(cell => cell.label !== cell.predicted).sort((a, b) => b.images - a.images);

/** How strongly a cell is coloured, in per cent: by the fraction of the true class that it holds; 0 is no colour. */
export function shadeOf(matrix: Matrix, label: string, predicted: string): number {
  const images = imagesAt(matrix, label, predicted);
  const total = matrix.totals.get(label) || 1;
  if (images === 0) return 0;
  // a mistake shows although it is rare: the square root lifts the small fractions
  const fraction = Math.min(1, images / total);
  return Math.round(label === predicted ? 12 + 48 * fraction : 10 + 60 * Math.sqrt(fraction));
}

/** The numbers of images that are right and wrong, from the recall of each class: cells may be left out. */
export function rightAndWrong(view: Evaluation): { right: number; wrong: number } {
  const right = view.classes.reduce((sum, row) => sum + Math.round((row.recall ?? 0) * row.images), 0);
  return { right, wrong: view.images - right };
}
