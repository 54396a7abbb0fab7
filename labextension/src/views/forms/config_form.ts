// TrainConfig's JSON Schema as a form: which field stands where, how its text becomes a value. Pure; no view.
import type { TrainConfig } from '../data/source';
import type { SchemaReply } from '../data/types';

export type Control = 'number' | 'text' | 'switch' | 'choice';

export interface Field {
  name: string;
  title: string;
  text: string;
  group: string;
  first: boolean;
  /** A resume may give it another value: it changes no result. */
  atResume: boolean;
  control: Control;
  whole: boolean;
  nullable: boolean;
  unit: string | null;
  choices: string[];
  /** A choice of true, false and empty: left to something else. */
  truth: boolean;
  suggestions: string[];
  fallback: unknown;
  limits: string;
}

export interface Section {
  title: string;
  fields: Field[];
}

export interface Layout {
  /** Unfolded: What, How, Where. */
  first: Section[];
  /** Folded: the groups, with what is left of each. */
  more: Section[];
  fields: Map<string, Field>;
}

/** What a form holds while one types: text for numbers and texts, the value itself for switches. */
export type Draft = Record<string, string | boolean>;

const PLACES: Record<string, 'What' | 'How' | 'Where'> = {
  data: 'What',
  model: 'What',
  evaluation: 'Where',
  checkpointing: 'Where',
  hardware: 'Where',
};
const MOVED: Record<string, 'What' | 'How' | 'Where'> = { augmentation: 'How' };

type Json = Record<string, unknown>;

function limitsOf(json: Json, unit: string | null): string {
  const from = json.exclusiveMinimum ?? json.minimum;
  const to = json.exclusiveMaximum ?? json.maximum;
  const tail = unit ? ` ${unit}` : '';
  if (from !== undefined && Number(to) <= 1e6) return `${from} to ${to}${tail}`;
  if (json.exclusiveMinimum !== undefined) return `above ${from}${tail}`;
  return from !== undefined ? `at least ${from}${tail}` : unit ? `in ${unit}` : '';
}

/** One property of the schema as a field. */
export function fieldOf(name: string, property: Json, definitions: Json = {}): Field {
  let json = property;
  let nullable = false;
  const resolve = (part: Json): Json =>
    typeof part.$ref === 'string' ? ((definitions[part.$ref.split('/').pop()!] as Json) ?? part) : part;
  const options = (json.anyOf as Json[] | undefined)?.map(resolve);
  if (options) {
    nullable = options.some(option => option.type === 'null');
    json = { ...options.find(option => option.type !== 'null'), ...property };
  } else json = { ...resolve(property), ...property };
  const type = json.type;
  const truth = type === 'boolean' && nullable;
  const choices = truth
    ? ['', 'true', 'false']
    : Array.isArray(json.enum)
      ? json.enum.map(String)
      : json.const !== undefined
        ? [String(json.const)]
        : [];
  const unit = typeof json.unit === 'string' ? json.unit : null;
  return {
    name,
    title: String(json.title ?? name),
    text: String(json.description ?? ''),
    group: String(json.group ?? ''),
    first: json.first === true,
    atResume: json.at_resume === true,
    control:
      choices.length > 0
        ? 'choice'
        : type === 'boolean'
          ? 'switch'
          : type === 'integer' || type === 'number'
            ? 'number'
            : 'text',
    whole: type === 'integer',
    nullable,
    unit,
    choices,
    truth,
    suggestions: Array.isArray(json.suggestions) ? json.suggestions.map(String) : [],
    fallback: json.default,
    limits: limitsOf(json, unit),
  };
}

/** The whole form. */
export function layoutOf(schema: SchemaReply): Layout {
  const properties = (schema.json_schema.properties ?? {}) as Record<string, Json>;
  const definitions = (schema.json_schema.$defs ?? {}) as Json;
  const fields = new Map(
    Object.entries(properties).map(([name, json]) => [name, fieldOf(name, json, definitions)]),
  );
  const all = [...fields.values()];
  const place = (field: Field) => MOVED[field.name] ?? PLACES[field.group] ?? 'How';
  return {
    fields,
    first: (['What', 'How', 'Where'] as const).map(title => ({
      title,
      fields: all.filter(field => field.first && place(field) === title),
    })),
    more: Object.entries(schema.groups)
      .map(([group, title]) => ({
        title,
        fields: all.filter(field => !field.first && field.group === group),
      }))
      .filter(section => section.fields.length > 0),
  };
}

/** A value as one types it: 3e-4 stays short, null is empty. */
export function textOf(value: unknown): string {
  if (value == null) return '';
  if (typeof value === 'number') {
    const size = Math.abs(value);
    return size > 0 && size < 1e-3 ? value.toExponential().replace('e+', 'e') : String(value);
  }
  return String(value);
}

export function draftOf(layout: Layout, config: TrainConfig): Draft {
  const draft: Draft = {};
  for (const field of layout.fields.values()) {
    const value = field.name in config ? config[field.name] : field.fallback;
    draft[field.name] = field.control === 'switch' ? value === true : textOf(value);
  }
  return draft;
}

/** The config that a draft means, and what of it cannot be read. A number that is none is left out of the config. */
export function configOf(
  layout: Layout,
  draft: Draft,
): { config: TrainConfig; problems: Record<string, string> } {
  const config: TrainConfig = {};
  const problems: Record<string, string> = {};
  for (const field of layout.fields.values()) {
    const value = draft[field.name];
    if (typeof value !== 'string') {
      config[field.name] = value ?? false;
      continue;
    }
    const text = value.trim();
    if (text === '' && field.nullable) config[field.name] = null;
    else if (field.truth) config[field.name] = text === 'true';
    else if (field.control === 'number') {
      const number = text === '' ? NaN : Number(text.replace(/(?<=\d)[ ,_](?=\d{3}\b)/g, ''));
      if (!Number.isFinite(number))
        problems[field.name] = text === '' ? 'A number is needed here.' : `“${text}” is not a number.`;
      else if (field.whole && !Number.isInteger(number))
        problems[field.name] = `Must be a whole number, not ${text}.`;
      else config[field.name] = number;
    } else config[field.name] = text;
  }
  return { config, problems };
}

/** How many fields of a section differ from their defaults. */
export const changed = (section: Section, draft: Draft): number =>
  section.fields.filter(field => {
    const value = draft[field.name];
    return typeof value === 'boolean'
      ? value !== (field.fallback === true)
      : value !== textOf(field.fallback);
  }).length;

/** A place in a run after its warm-up: share done (0..1), epochs since, and the config's numbers. */
interface Moment {
  done: number;
  epoch: number;
  number: (name: string, fallback: number) => number;
}

const floorOf = (now: Moment) => now.number('min_lr_ratio', 0);
const above = (now: Moment, left: number) => floorOf(now) + (1 - floorOf(now)) * left;
const decaying = (now: Moment) => {
  const share = now.number('decay_fraction', 0.2);
  return Math.min(1, Math.max(0, (now.done - (1 - share)) / share));
};

/** The engine's schedules (engine/optim/lr_schedules.py) as shares of the highest rate; a plateau is drawn as if none came. */
const SCHEDULES: Record<string, (now: Moment) => number> = {
  cosine: now => above(now, (1 + Math.cos(Math.PI * now.done)) / 2),
  linear: now => above(now, 1 - now.done),
  poly: now => above(now, (1 - now.done) ** now.number('poly_power', 2)),
  tanh: now => above(now, (1 - Math.tanh(-7 + 10 * now.done)) / 2),
  step: now => {
    const every = now.number('decay_epochs', 0);
    const decays = Math.floor(every > 0 ? now.epoch / every : 3 * now.done);
    return Math.max(floorOf(now), now.number('decay_rate', 0.1) ** decays);
  },
  wsd: now => above(now, 1 - Math.sqrt(decaying(now))),
  rsqrt: now => {
    const stable = (1 + now.epoch / Math.max(now.number('warmup_epochs', 0), 1)) ** -0.5;
    return floorOf(now) + Math.max(stable - floorOf(now), 0) * (1 - decaying(now));
  },
  plateau: () => 1,
  constant: () => 1,
};

/** The learning rate over the run, as the engine's schedule has it: epochs done -> rate; empty for a plugin's. */
export function learningRates(config: TrainConfig, points = 160): { x: number[]; y: number[] } {
  const schedule = SCHEDULES[String(config.schedule ?? 'cosine')];
  if (!schedule) return { x: [], y: [] };
  const number = (name: string, fallback: number) =>
    typeof config[name] === 'number' ? (config[name] as number) : fallback;
  const epochs = Math.max(1e-9, number('epochs', 1));
  const warmup = Math.min(epochs, number('warmup_epochs', 0));
  const top = number('lr', 0);
  const x = Array.from({ length: points + 1 }, (_, i) => (epochs * i) / points);
  const y = x.map(at => {
    if (at < warmup) return (top * at) / warmup;
    const done = epochs > warmup ? (at - warmup) / (epochs - warmup) : 1;
    return top * schedule({ done, epoch: at - warmup, number });
  });
  return { x, y };
}

/** A key for one launch: pressed twice it is one run. `crypto.randomUUID` is missing on plain http. */
export const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('');
