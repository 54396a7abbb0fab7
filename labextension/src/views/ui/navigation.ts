// Where a view can lead. The host says what going there means: a tab in Lab, a page elsewhere.
import { createContext, useContext } from 'react';
import type { Shelf } from '../data/source';

export type Place =
  | { view: 'new'; from?: string }
  | { view: 'run'; id: string }
  | { view: 'runs' }
  /** The form of a batch, by the notebook's path in the file browser. */
  | { view: 'notebook'; path: string }
  /** The executed notebook of a run, as the host shows notebooks. */
  | { view: 'executed'; id: string }
  /** The form of a sweep, from a run's settings. */
  | { view: 'newsweep'; from: string }
  | { view: 'compare'; ids: string[] }
  /** TensorBoard of some runs, a sweep or a project; of none: of the project that was used last. `tag`: of this curve. */
  | { view: 'board'; id?: string; run_ids?: string[]; sweep_id?: string; project_id?: number; tag?: string }
  | { view: 'library'; shelf?: Shelf };

const Context = createContext<(place: Place) => void>(() => undefined);
export const GoProvider = Context.Provider;
export const useGo = (): ((place: Place) => void) => useContext(Context);
