// Where a view can lead. The host says what going there means: a tab in Lab, a page elsewhere.
import { createContext, useContext } from 'react';
import type { ListView } from '../data/run_rows';
import type { RegistryName } from '../data/asked';

/** What the form of a new run starts with. */
export interface RunStart {
  /** Id of the run whose config it is. */
  from?: string;
  /** Id of the data set, and one of its revisions. */
  dataset?: number;
  revision?: number;
  /** A saved config, by its id. */
  config?: number;
  /** A version of that config; by default its newest. */
  version?: number;
  /** The folder of images, by its path in the host's file browser. */
  folder?: string;
  /** The project that the run goes into, by its id. */
  project?: number;
}

export type Place =
  | ({ view: 'new-run' } & RunStart)
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
