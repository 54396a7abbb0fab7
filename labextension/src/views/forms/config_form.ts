// TrainConfig's JSON Schema as a form: which field stands where, how its text becomes a value. Pure; no view.
import type { TrainConfig } from '../data/asked';
import type { SchemaReply } from '../data/types';

export type Control = 'number' | 'text' | 'switch' | 'choice';

/** What a change means at a fork: `AtFork` in `imgcls_lab/config/fields.py`. */
export type AtFork = 'free' | 'between_epochs' | 'fresh_optimizer' | 'refused';

export interface Field {
  name: string;
  title: string;
  text: string;
  group: string;
  first: boolean;
  /** A resume may give it another value: it changes no result. */
  atResume: boolean;
  atFork: AtFork;
  control: Control;
  whole: boolean;
  nullable: boolean;
  unit: string | null;
  choices: string[];
  /** A choice of true, false and empty: left to something else. */
  truth: boolean;
  suggestions: string[];
  /** What people call its values, by their text; '': empty. */
  labels: Record<string, string>;
  /** It has an effect where one of these holds; none: always. */
  applies: Condition[];
  /** The sentence of that. */
  appliesText: string;
  fallback: unknown;
  limits: string;
}

/** A condition on another field, as the config's Python has it: `imgcls_lab/config/applies.py`. */
interface Condition {
  field: string;
  one_of?: unknown[];
  none_of?: unknown[];
  above?: number;
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
  return from !== undefined ? `at least ${from}${tail}` : '';
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
    atFork: (json.at_fork ?? 'free') as AtFork,
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
    labels: (json.labels ?? {}) as Record<string, string>,
    applies: (json.applies ?? []) as Condition[],
    appliesText: String(json.applies_text ?? ''),
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

/** A value of a field as people read it. */
export const labelOf = (field: Field, text: string): string =>
  field.labels[text] ??
  (text === '' ? 'automatic' : isTruth(field) ? (text === 'true' ? 'on' : 'off') : text);

const isTruth = (field: Field): boolean => field.truth || field.control === 'switch';

/** A value of a config as a table shows it, with its unit; empty where the field has none. */
export function settingText(field: Field | undefined, value: unknown): string {
  const text = textOf(value);
  if (!field || (text === '' && !field.nullable)) return text;
  return typeof value === 'number' && field.unit ? `${text} ${field.unit}` : labelOf(field, text);
}

/** A draft's text as its config has it; a text that is no number stays. */
function meaning(field: Field | undefined, value: string | boolean | undefined): unknown {
  if (typeof value !== 'string' || field === undefined) return value;
  if (value.trim() === '') return null;
  if (field.truth) return value === 'true';
  return field.control === 'number' && Number.isFinite(Number(value)) ? Number(value) : value;
}

/** Whether a field has an effect beside the others; one that hangs on a field without effect has none. */
export function hasEffect(layout: Pick<Layout, 'fields'>, draft: Draft, name: string): boolean {
  const rule = layout.fields.get(name)?.applies ?? [];
  const holds = ({ field, one_of, none_of, above }: Condition): boolean => {
    const value = meaning(layout.fields.get(field), draft[field]);
    if (above !== undefined) return typeof value === 'number' && value > above;
    if (none_of) return !none_of.includes(value);
    return one_of ? one_of.includes(value) : Boolean(value);
  };
  return rule.length === 0 || rule.some(each => holds(each) && hasEffect(layout, draft, each.field));
}

const isChanged = (field: Field, value: string | boolean | undefined): boolean =>
  typeof value === 'boolean' ? value !== (field.fallback === true) : value !== textOf(field.fallback);

/** The fields that a form shows: those with an effect, and those that were changed all the same. */
export const shownFields = (
  layout: Pick<Layout, 'fields'>,
  draft: Draft,
  fields: Field[],
  wrong: Record<string, string>,
): Field[] =>
  fields.filter(
    field =>
      hasEffect(layout, draft, field.name) || isChanged(field, draft[field.name]) || field.name in wrong,
  );

/** The fields that some words mean: each word stands in their title, name, group or help. */
export function found(layout: Layout, fields: Field[], words: string): Field[] {
  const groups = new Map(layout.more.map(section => [section.fields[0]?.group, section.title]));
  const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
  const rank = (field: Field): number => (field.title.toLowerCase().startsWith(parts[0] ?? '') ? 0 : 1);
  return fields
    .filter(field => {
      const text =
        `${field.title} ${field.name} ${field.name.replaceAll('_', ' ')} ${groups.get(field.group) ?? ''} ${field.text}`.toLowerCase();
      return parts.every(part => text.includes(part));
    })
    .sort((one, other) => rank(one) - rank(other));
}

/** How many fields of a section differ from their defaults. */
export const changed = (section: Section, draft: Draft): number =>
  section.fields.filter(field => isChanged(field, draft[field.name])).length;

/** A key for one launch: pressed twice it is one run. `crypto.randomUUID` is missing on plain http. */
export const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('');
