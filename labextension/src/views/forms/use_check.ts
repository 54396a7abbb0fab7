// What the server says of a form's config, asked when typing rests, and what is wrong field by field.
import { useMemo } from 'react';
import type { TrainConfig } from '../data/asked';
import type { CheckReply } from '../data/types';
import { useQuery } from '../data/use_query';
import { useRested } from '../data/use_rested';
import { configOf, hasEffect, type Draft, type Field, type Layout } from './config_form';

export interface Check {
  /** As far as the draft can be read. */
  config: TrainConfig;
  /** The server's answer; none while the draft cannot be read. */
  reply: CheckReply | undefined;
  /** The server has answered at least once. */
  answered: boolean;
  /** Why the server could not be asked. */
  error: string | null;
  /** What is wrong: a sentence by the name of its field. */
  wrong: Record<string, string>;
  /** What is wrong with no field of the form. */
  general: string | null;
  readable: boolean;
  valid: boolean;
  /** Ask again: the server may know more. */
  reload: () => void;
}

export function useCheck(layout: Layout, draft: Draft): Check {
  const { config, problems } = useMemo(() => configOf(layout, draft), [layout, draft]);
  // what cannot be read is left out of what the server checks, so every other field keeps its mark
  const { data, error, reload } = useQuery('check', useRested({ config }));
  const wrong: Record<string, string> = { ...problems };
  let general: string | null = null;
  for (const { field, message } of data?.problems ?? []) {
    if (layout.fields.has(field)) wrong[field] ??= message;
    else general ??= message;
  }
  const readable = Object.keys(problems).length === 0;
  return {
    config,
    reply: readable ? data : undefined,
    answered: data !== undefined,
    error,
    wrong,
    general,
    readable,
    reload,
    valid: readable && general === null && Object.keys(wrong).length === 0,
  };
}

/** What is worth knowing beside a field: what it comes to by itself, that it has no effect, else its limits. */
export function noteOf(
  layout: Layout,
  draft: Draft,
  check: CheckReply | undefined,
  field: Field,
): string | undefined {
  if (!hasEffect(layout, draft, field.name)) return field.appliesText;
  const resolved = check?.resolved?.[field.name];
  const unit = field.unit && /^[\d.,]+$/.test(resolved ?? '') ? ` ${field.unit}` : '';
  return resolved ? `here: ${resolved}${unit}` : field.first ? undefined : field.limits || undefined;
}
