// What the page around the views can do for them beside showing places. Each is missing where the host cannot.
import { createContext, useContext } from 'react';

export interface Host {
  /** Put code into a new cell below the active one of the notebook that was used last. Rejects with a sentence. */
  insertCell?: (code: string) => Promise<void>;
}

const Context = createContext<Host>({});
export const HostProvider = Context.Provider;
export const useHost = (): Host => useContext(Context);
