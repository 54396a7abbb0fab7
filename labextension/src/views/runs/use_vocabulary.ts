// What a query about runs can name: fields of configs with their choices, metrics, projects, owners, data and models.
import { useMemo } from 'react';
import { FRACTION_METRICS, METRIC_TITLES, RUN_STATES, STATE_GROUPS, type Run } from '../data/types';
import { useQuery } from '../data/use_query';
import { layoutOf, type Field } from '../forms/config_form';
import { leaf, metricTitle } from '../ui/format';
import type { Vocabulary } from './query_text';

const KINDS = ['train', 'notebook', 'sweep', 'task'];
const EVERYWHERE = [
  'loss/train',
  'loss/val',
  ...FRACTION_METRICS.filter(name => name !== 'top_k').map(name => `metric/${name}`),
];

export interface Words extends Vocabulary {
  configFields: ReadonlyMap<string, Field> | undefined;
}

/** `shown`: runs that are loaded, whose metrics and tags are known from them. */
export function useVocabulary(shown: readonly Run[], owners: readonly string[]): Words {
  const { data: schema } = useQuery('schema', {});
  const { data: projects } = useQuery('projects', {});
  const { data: datasets } = useQuery('datasets', {});
  const { data: models } = useQuery('models', {});
  const configFields = useMemo(() => (schema ? layoutOf(schema).fields : undefined), [schema]);
  const tags = [...new Set([...EVERYWHERE, ...shown.flatMap(run => Object.keys(run.latest))])]
    .sort()
    .join('\n');
  const people = owners.join('\n');
  return useMemo(
    () => ({
      configFields,
      fields: new Map(
        [...(configFields?.values() ?? [])].map(field => [
          field.name,
          {
            title: field.title,
            choices:
              field.control === 'switch'
                ? ['true', 'false']
                : [...field.choices, ...field.suggestions].filter(Boolean),
            numeric: field.control === 'number',
          },
        ]),
      ),
      metrics: new Map(tags.split('\n').map(tag => [tag, metricTitle(tag)])),
      values: {
        state: [...STATE_GROUPS, ...RUN_STATES],
        kind: KINDS,
        monitor: Object.keys(METRIC_TITLES),
        project: projects?.map(project => project.name) ?? [],
        owner: people.split('\n').filter(Boolean),
        data: datasets?.map(dataset => `*${leaf(dataset.root)}`) ?? [],
        model: models?.map(model => `*${leaf(model.flavour)}`) ?? [],
      },
    }),
    [configFields, tags, people, projects, datasets, models],
  );
}
