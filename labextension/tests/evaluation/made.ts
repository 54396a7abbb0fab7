// An evaluation of three classes whose numbers agree with each other: 30 images, 6 mistakes.
import type { EvaluatedImage, Evaluation } from '../../src/views/data/types';

const CELLS: [string, string, number][] = [
  ['cat', 'cat', 8],
  ['cat', 'dog', 2],
  ['dog', 'dog', 6],
  ['dog', 'cat', 3],
  ['dog', 'owl', 1],
  ['owl', 'owl', 10],
];

const cells = CELLS.map(([label, predicted, images]) => ({ label, predicted, images }));
const sum = (of: (cell: (typeof cells)[number]) => boolean): number =>
  cells.filter(of).reduce((all, cell) => all + cell.images, 0);

export const anEvaluation = (part: Partial<Evaluation> = {}): Evaluation => ({
  run_id: 'r1',
  epoch: 2,
  split: 'val',
  images: 30,
  epochs: [1, 2, 3],
  best_epoch: 2,
  has_test: false,
  has_train: false,
  values: { 'metric/accuracy': 0.8, 'loss/val': 0.25, 'metric/calibration_error': 0.1 },
  intervals: { 'metric/accuracy': [0.63, 0.9] },
  class_names: ['cat', 'dog', 'owl'],
  classes: ['cat', 'dog', 'owl'].map(name => ({
    name,
    images: 10,
    predicted: sum(cell => cell.predicted === name),
    precision:
      sum(cell => cell.predicted === name && cell.label === name) / sum(cell => cell.predicted === name),
    recall: sum(cell => cell.predicted === name && cell.label === name) / 10,
    f1: 0.8,
    f1_by_epoch: [0.5, 0.8],
    taken_for: cells.filter(cell => cell.label === name && cell.predicted !== name),
  })),
  trend_epochs: [1, 2],
  cells,
  cells_left_out: 0,
  thresholds: {
    threshold: [0, 0.5, 0.9],
    precision: [0.8, 0.9, 1],
    recall: [0.8, 0.7, 0.3],
    coverage: [1, 0.77, 0.3],
    wrong_left_out: [0, 4, 6],
    right_left_out: [0, 3, 15],
  },
  reliability: [],
  temperature: null,
  calibrated: [],
  calibrated_error: null,
  abstention: null,
  notes: [],
  ...part,
});

export const anImage = (number: number, part: Partial<EvaluatedImage> = {}): EvaluatedImage => ({
  image: String(number).padStart(64, '0'),
  name: `val/dog/${number}.png`,
  split: 'val',
  label: 'dog',
  predicted: 'cat',
  confidence: 0.7,
  label_prob: 0.2,
  loss: 1.6,
  correct: false,
  ...part,
});
