// What the page around the views can do for them beside showing places. Each is missing where the host cannot.
import { createContext, useContext } from 'react';

/** What records actions: whether it does, into which notebook, how many cells so far, and why it ended. */
export interface RecorderState {
  recording: boolean;
  notebook: string;
  cells: number;
  problem: string;
}

export interface Recorder {
  current(): RecorderState;
  /** Call `changed` when the state changes, until the returned function is called. */
  listen(changed: () => void): () => void;
  /** Begin, or end. */
  toggle(): void;
}

export interface Host {
  /** Put code into a new cell below the active one of the notebook that was used last. Rejects with a sentence. */
  insertCell?: (code: string) => Promise<void>;
  /** Writes what is done here as Python into a notebook. */
  recorder?: Recorder;
}

const Context = createContext<Host>({});
export const HostProvider = Context.Provider;
export const useHost = (): Host => useContext(Context);
