import { expect, it } from 'vitest';
import { linked, themed } from '../../src/views/pages/tensorboard_frame';

const url = 'http://lab/user/a%20b/imgcls/tensorboard/run-1/';

it('keeps where TensorBoard stands when its theme changes', () => {
  const page = `${url}?tagFilter=loss&darkMode=false#timeseries`;
  expect(themed(page, true)).toBe(`${url}?tagFilter=loss&darkMode=true#timeseries`);
});

it('begins with the main curves at the top', () => {
  const pinned = new URL(linked(url)).searchParams.get('pinnedCards') ?? '';
  expect(JSON.parse(pinned)[0]).toEqual({ plugin: 'scalars', tag: 'loss/train' });
});

it('begins with the curves, also before there are any', () => {
  expect(new URL(linked(url)).hash).toBe('#timeseries');
  expect(new URL(linked(url, 'loss/train')).hash).toBe('#timeseries');
});

it('links to one curve, whatever its name holds', () => {
  const filter = new URL(linked(url, 'weights/a.b[0]')).searchParams.get('tagFilter') ?? '';
  expect(new RegExp(filter).test('weights/a.b[0]')).toBe(true);
  expect(new RegExp(filter).test('weights/a.b[0]/c')).toBe(false);
  expect(new RegExp(filter).test('weights/axb[0]')).toBe(false);
});
