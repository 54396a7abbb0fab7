// Numbers, times and sizes as a reader wants them. All views format with these functions.
import { FRACTION_METRICS, METRIC_TITLES, type Run } from '../data/types';

const instant = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const integer = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export const count = (value: number): string => integer.format(value);

/** The model that a run began with, in a word. */
export const modelOf = ({ from_best, model_flavour }: Pick<Run, 'from_best' | 'model_flavour'>): string =>
  from_best ? 'best of its parent' : leaf(model_flavour);

export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`;

/** 0.943 -> 94.3 %; null: there is no number. */
export const percent = (fraction: number | null, digits = 1): string =>
  fraction === null ? '–' : `${(fraction * 100).toFixed(digits)} %`;

/** About three significant digits: 0.214, 12.3, 1,412, 3e-5. */
export function formatNumber(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 1000) return integer.format(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 1) return value.toFixed(2);
  if (size >= 0.001) return value.toFixed(size >= 0.01 ? 3 : 4);
  return value.toExponential(1).replace('.0e', 'e');
}

/** The values at an axis, each with the decimals that make them distinct. `fraction`: in per cent. */
export function ticks(values: (number | null)[], fraction = false): string[] {
  const given = values.filter((v): v is number => v != null);
  const step = given.length > 1 ? Math.abs(given[1]! - given[0]!) * (fraction ? 100 : 1) : 0;
  const largest = Math.max(...given.map(Math.abs));
  const even =
    given.length < 3 || Math.abs(given[2]! - given[1]! - (given[1]! - given[0]!)) < step * 0.01 + 1e-12;
  return values.map(value => {
    if (value == null) return '';
    if (fraction) return `${(value * 100).toFixed(Math.abs(step - Math.round(step)) > 1e-6 ? 1 : 0)} %`;
    if (value === 0) return '0';
    if (largest < 0.01) return short(value);
    return even && step ? value.toLocaleString('en', decimals(step)) : formatNumber(value);
  });
}

/** 3e-4, 7.5e-5 */
const short = (value: number): string => Number(value.toPrecision(3)).toExponential();

/** As many decimals as a step of the axis has. */
function decimals(step: number): Intl.NumberFormatOptions {
  let digits = 0;
  while (digits < 6 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6) digits++;
  return { minimumFractionDigits: digits, maximumFractionDigits: digits };
}

const FRACTIONS = new Set<string>(FRACTION_METRICS);
const TITLES: Record<string, string> = {
  ...METRIC_TITLES,
  'loss/train': 'training loss',
  'loss/val': 'validation loss',
  'loss/test': 'test loss',
  'test/loss': 'test loss',
  'throughput/images_per_second': 'images per second',
  grad_norm: 'gradient norm',
  lr: 'learning rate',
};
const TOP = /^top(\d+)$/;

/** `metric/accuracy` and `test/accuracy` -> `accuracy`. */
const bare = (name: string): string => name.replace(/^(metric|test)\//, '');

export const isFraction = (name: string): boolean => FRACTIONS.has(bare(name)) || TOP.test(bare(name));

/** A metric's value with its unit: a fraction is shown in per cent. */
export const metric = (name: string, value: number | null | undefined): string =>
  value != null && isFraction(name) ? percent(value) : formatNumber(value);

/** A mean with the standard deviation of its values, as far as there is one: `75.0 ± 0.4 %`. */
export const meanText = (name: string, mean: number, deviation: number | null | undefined): string =>
  deviation == null
    ? metric(name, mean)
    : isFraction(name)
      ? `${(mean * 100).toFixed(1)} ± ${percent(deviation)}`
      : `${formatNumber(mean)} ± ${formatNumber(deviation)}`;

export function metricTitle(name: string): string {
  const plain = bare(name);
  const top = TOP.exec(plain);
  const title = TITLES[name] ?? TITLES[plain] ?? (top ? `top-${top[1]} accuracy` : name);
  if (name === 'metric/accuracy') return 'validation accuracy';
  return name.startsWith('test/') && !title.startsWith('test') ? `test ${title}` : title;
}

/** 45 s, 12 min, 3 h 20 min, 2 d */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null || !Number.isFinite(seconds)) return '–';
  if (seconds > 0 && seconds < 0.1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) {
    const minutes = Math.round(seconds / 60);
    return minutes % 60 && minutes < 600
      ? `${Math.floor(minutes / 60)} h ${minutes % 60} min`
      : `${Math.round(minutes / 60)} h`;
  }
  return `${Math.round(seconds / 86400)} d`;
}

/** How long a run has run, all its attempts together, as Run.seconds has it; null: it has not begun yet. */
export function ranFor(run: Run, now = Date.now() / 1000): number | null {
  if (run.running_since == null) return run.started_at == null ? null : run.ran;
  return run.ran + Math.max(0, (run.unreachable ? run.updated_at : now) - run.running_since);
}

/** How long ago, in one word: now, 5 min, 2 h, 3 d. */
export function ago(time: number, now = Date.now() / 1000): string {
  const minutes = Math.floor(Math.max(0, now - time) / 60);
  if (minutes < 1) return 'now';
  if (minutes < 60) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
}

export const moment = (time: number | null | undefined): string =>
  time == null ? '–' : instant.format(time * 1000);

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

export function bytes(size: number | null | undefined): string {
  if (size == null) return '–';
  let value = size;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Used of total, in one unit: 38 / 80 GB */
export function usage(used: number, total: number): string {
  const [, unit] = bytes(total).split(' ');
  const size = 1000 ** UNITS.indexOf(unit!);
  const short = (value: number) =>
    value >= 10 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
  return `${short(used / size)} / ${short(total / size)} ${unit}`;
}

/** The last part of a path or hub id. */
export const leaf = (path: string): string => path.replace(/\/+$/, '').split('/').pop() || path;

/** A value of a setting or of a notebook's parameter. */
export const parameterText = (value: unknown): string =>
  typeof value === 'number' ? String(Number(value.toPrecision(4))) : value === null ? 'None' : String(value);

/** A title inside a sentence or a table: the form's, without its capital. Names such as CUDA and PyTorch keep theirs. */
export const lower = (title: string): string =>
  /^[A-Z][a-z]/.test(title) ? title[0]!.toLowerCase() + title.slice(1) : title;
