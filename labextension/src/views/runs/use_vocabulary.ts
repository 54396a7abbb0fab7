// What a query about runs can name: fields of configs with their choices, metrics, projects, owners, data and models.
import { useMemo } from 'react';
import { METRIC_TITLES, RUN_STATES, STATE_GROUPS, type RunColumns } from '../data/types';
import { useQuery } from '../data/use_query';
import { layoutOf } from '../forms/config_form';
import { leaf } from '../ui/format';
import type { Vocabulary } from './query_text';

const KINDS = ['train', 'notebook', 'sweep', 'task'];

const ALL = {};

/** `known`: the columns of runs, and the tags that people gave. `wanted`: what else is needed may be asked for. */
export function useVocabulary(
  known: RunColumns | undefined,
  owners: readonly string[],
  wanted: boolean,
): Vocabulary {
  const asked = wanted ? ALL : null;
  const { data: schema } = useQuery('schema', asked);
  const { data: projects } = useQuery('projects', asked);
  const { data: datasets } = useQuery('datasets', asked);
  const { data: models } = useQuery('models', asked);
  const configFields = useMemo(() => (schema ? layoutOf(schema).fields : undefined), [schema]);
  const people = owners.join('\n');
  return useMemo(
    () => ({
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
      metrics: new Map(
        (known?.columns ?? [])
          .filter(({ group }) => group === 'latest' || group === 'best')
          .map(({ key, label, group }) => [key, `${group === 'best' ? 'best' : 'last'} ${label}`]),
      ),
      values: {
        state: [...STATE_GROUPS, ...RUN_STATES],
        kind: KINDS,
        monitor: Object.keys(METRIC_TITLES),
        archived: ['true', 'false', 'any'],
        tag: known?.tags.map(({ tag }) => tag) ?? [],
        project: projects?.map(project => project.name) ?? [],
        owner: people.split('\n').filter(Boolean),
        data: datasets?.map(dataset => `*${leaf(dataset.root)}`) ?? [],
        model: models?.map(model => `*${leaf(model.flavour)}`) ?? [],
      },
    }),
    [configFields, known, people, projects, datasets, models],
  );
}
