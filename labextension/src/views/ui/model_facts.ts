// What the files of a model say of it, as sentences for lists and forms. Pure; no view.
import type { ModelFacts } from '../data/types';
import { bytes, count } from './format';

/** 25.6 M, 980 k, 512 */
export const parameters = (value: number): string =>
  value >= 1e6
    ? `${(value / 1e6).toFixed(1)} M`
    : value >= 1e4
      ? `${Math.round(value / 1e3)} k`
      : count(value);

/** "25.6 M parameters · 224 px · 10 classes" */
export function sizesText({ parameters: number, input_size, classes }: ModelFacts): string {
  const [height, width] = (input_size ?? []) as number[];
  return [
    number != null && `${parameters(number)} parameters`,
    height !== undefined && (height === width ? `${height} px` : `${height} × ${width} px`),
    classes != null && `${count(classes)} classes`,
  ]
    .filter(part => typeof part === 'string')
    .map(part => part.replaceAll(' ', '\u00a0')) // a number and its unit stay together
    .join(' · ');
}

/** Where its files are. */
export function placeText({ place, needs, parameters: number }: ModelFacts): string {
  if (place === 'hub') return 'not on this machine; a run fetches it from the hub';
  if (needs != null) return `needs ${bytes(needs)} from the hub`;
  const where = place === 'cache' ? 'on this machine, from the hub' : 'on this machine';
  return number == null ? `${where}, without weights` : where;
}
