// What its user wants of the whole panel: a host that keeps settings gives them to the views, and tells each change.
import { createContext, useContext, useSyncExternalStore } from 'react';

export const NOTIFICATION_LEVELS = ['all', 'ends', 'problems', 'none'] as const;
export const PALETTES = ['standard', 'colour-blind', 'tableau'] as const;

export interface Preferences {
  notifications: (typeof NOTIFICATION_LEVELS)[number];
  /** Colours of curves; `theme.css` has them. */
  palette: (typeof PALETTES)[number];
  /** Name of the project that a new run belongs to; empty: that of the last run. */
  project: string;
  /** Keys of the columns of a table of runs whose columns nobody has chosen; none: those that are built in. */
  columns: readonly string[];
}

export const NO_PREFERENCES: Preferences = {
  notifications: 'ends',
  palette: 'standard',
  project: '',
  columns: [],
};

const oneOf = <T extends string>(value: unknown, known: readonly T[], fallback: T): T =>
  known.find(item => item === value) ?? fallback;

/** What the settings say; a value that means nothing has its default. */
export function preferencesIn(read: (name: string) => unknown): Preferences {
  const columns = read('columns');
  const project = read('project');
  return {
    notifications: oneOf(read('notifications'), NOTIFICATION_LEVELS, NO_PREFERENCES.notifications),
    palette: oneOf(read('palette'), PALETTES, NO_PREFERENCES.palette),
    project: typeof project === 'string' ? project.trim() : '',
    columns: Array.isArray(columns) ? columns.filter(name => typeof name === 'string' && name !== '') : [],
  };
}

/** Preferences that change while views show them. */
export class PreferenceStore {
  #now = NO_PREFERENCES;
  readonly #listeners = new Set<() => void>();

  readonly current = (): Preferences => this.#now;

  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  set(next: Preferences): void {
    this.#now = next;
    this.#listeners.forEach(listener => listener());
  }
}

const Context = createContext(new PreferenceStore());
export const PreferencesProvider = Context.Provider;

export function usePreferences(): Preferences {
  const store = useContext(Context);
  return useSyncExternalStore(store.listen, store.current);
}
