// What models are called in a comparison: as they are registered, not by the paths of their files. Pure; no view.
import type { Comparison, Model } from '../data/types';
import { modelOf } from '../ui/format';

type Fields = Comparison['differs'];

/** The comparison with the models' names in place of hub ids and paths. Two models of the same name keep theirs. */
export function withModelNames(comparison: Comparison, models: readonly Model[]): Comparison {
  const registered = new Map(models.map(model => [model.flavour, model.name]));
  const named = (fields: Fields): Fields =>
    fields.map(field => {
      if (field.name !== 'model_flavour' || field.part !== 'config') return field;
      const values = field.values.map((value, place) =>
        typeof value === 'string' && value !== ''
          ? (registered.get(value) ?? modelOf(comparison.runs[place]!))
          : value,
      );
      const unlike = new Set(field.values).size === new Set(values).size;
      return unlike ? { ...field, values } : field;
    });
  return { ...comparison, differs: named(comparison.differs), same: named(comparison.same) };
}
