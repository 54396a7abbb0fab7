// What another data set changes, as a sentence.
import { describe, expect, it } from 'vitest';
import type { Dataset } from '../../src/views/data/types';
import { changeText } from '../../src/views/forms/dataset_change';

const dataset = (classes: string[], images: Record<string, number>) => ({ classes, images }) as Dataset;
const digits = dataset(['0', '1'], { train: 1437, val: 180 });

describe('what another data set changes', () => {
  it('is said in numbers', () => {
    expect(changeText(digits, dataset(['a', 'b', 'c'], { train: 96 }), [32, 224])).toBe(
      '3 classes instead of 2, 96 training images instead of 1,437, part of train/ is held out for validation, ' +
        'images of about 224 px instead of 32 px',
    );
  });

  it('is nothing where they are alike, and the names where these alone differ', () => {
    expect(changeText(digits, digits, [32, 32])).toBe('');
    expect(changeText(digits, dataset(['a', 'b'], digits.images), [32, null])).toBe('2 other classes');
  });
});
