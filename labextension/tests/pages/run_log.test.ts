import { expect, it } from 'vitest';
import { readable } from '../../src/views/ui/log_text';

it('shows a log without terminal escapes and without what was written over', () => {
  expect(readable('a\u001b[31mred\u001b[0m\n10 %\r20 %\r30 %\nend')).toBe('ared\n30 %\nend');
});
