// Some settings of a run as inputs side by side: of a resume, and of a change while it trains.
import { useMemo } from 'react';
import { layoutOf, type Draft, type Field, type Layout } from './config_form';
import { FieldInput } from './fields';
import { useQuery } from '../data/use_query';

/** The form's layout with the chosen fields alone, once its schema is there. `choose` must stay the same function. */
export function useSomeFields(choose: (all: Layout['fields']) => Layout['fields']) {
  const schema = useQuery('schema', {});
  const data = useMemo(() => {
    if (!schema.data) return undefined;
    const whole = layoutOf(schema.data);
    return { ...whole, fields: choose(whole.fields) };
  }, [schema.data, choose]);
  return { ...schema, data };
}

export function SettingFields({
  fields,
  draft,
  problems,
  onChange,
}: {
  fields: Iterable<Field>;
  draft: Draft;
  problems: Record<string, string | undefined>;
  onChange: (name: string, value: Draft[string]) => void;
}) {
  return (
    <>
      {[...fields].map(field => (
        <FieldInput
          key={field.name}
          field={field}
          value={draft[field.name] ?? ''}
          problem={problems[field.name]}
          note={field.limits || undefined}
          onChange={value => onChange(field.name, value)}
        />
      ))}
    </>
  );
}
