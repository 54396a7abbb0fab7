// Where a view can lead. The host says what going there means: a tab in Lab, a page elsewhere.
import { createContext, useContext } from 'react';
import type { Shelf } from './source';

export type Place =
  | { view: 'new'; from?: string }
  | { view: 'run'; id: string }
  | { view: 'runs' }
  | { view: 'compare'; ids: string[] }
  | { view: 'library'; shelf?: Shelf };

const Context = createContext<(place: Place) => void>(() => undefined);
export const GoProvider = Context.Provider;
export const useGo = (): ((place: Place) => void) => useContext(Context);
