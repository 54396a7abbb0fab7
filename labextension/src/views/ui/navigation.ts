// Where a view can lead. The host says what going there means: a tab in Lab, a page elsewhere.
import { createContext, useContext } from 'react';
import type { ListView } from '../data/run_rows';
import type { RegistryName } from '../data/source';

export type Place =
  /** The form of a new run: from a run's settings or a version of a saved config, on a data set and one of its revisions, in a
   * project. */
  | {
      view: 'new-run';
      from?: string;
      dataset?: number;
      revision?: number;
      config?: number;
      version?: number;
      /** On this folder, by its path in the host's file browser. */
      folder?: string;
      project?: number;
    }
  | { view: 'config'; id: number }
  | { view: 'project'; id: number }
  /** A data set, with one of its tabs in front. */
  | { view: 'dataset'; id: number; tab?: string }
  | { view: 'run'; id: string }
  /** All runs, as a list that was looked at before. */
  | { view: 'runs'; list?: ListView }
  /** The form of a batch, by the notebook's path in the file browser. */
  | { view: 'run-notebook'; path: string }
  /** The executed notebook of a run, as the host shows notebooks. */
  | { view: 'executed-notebook'; id: string }
  /** The form of a sweep, from a run's settings or from those of a new run. */
  | { view: 'new-sweep'; from?: string }
  | { view: 'compare'; ids: string[] }
  /** TensorBoard of some runs, a sweep or a project; of none: of the project that was used last. `tag`: of this curve. */
  | {
      view: 'tensorboard';
      id?: string;
      run_ids?: string[];
      sweep_id?: string;
      project_id?: number;
      tag?: string;
    }
  /** Machines, devices, executors, and what the home takes on disk. */
  | { view: 'devices' }
  | { view: 'registries'; registry?: RegistryName };

const Context = createContext<(place: Place) => void>(() => undefined);
export const NavigationProvider = Context.Provider;
export const useNavigate = (): ((place: Place) => void) => useContext(Context);
