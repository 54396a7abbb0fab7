// Which run (or group of runs) stands out, everywhere on a page at once. What draws it listens; the page does not
// render for it, so that a pointer that moves over 100 lines costs little.
import { createContext, useContext, useSyncExternalStore } from 'react';

export class Highlight {
  #current: string | null = null;
  readonly #listeners = new Set<() => void>();

  readonly current = (): string | null => this.#current;

  readonly set = (group: string | null): void => {
    if (group === this.#current) return;
    this.#current = group;
    for (const listener of [...this.#listeners]) listener();
  };

  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
}

const Context = createContext(new Highlight());
export const HighlightProvider = Context.Provider;
export const useHighlight = (): Highlight => useContext(Context);

/** The group that stands out. */
export function useLit(): string | null {
  const highlight = useHighlight();
  return useSyncExternalStore(highlight.listen, highlight.current);
}

/** Whether this group stands out: renders anew only when that changes. */
export function useIsLit(group: string): boolean {
  const highlight = useHighlight();
  return useSyncExternalStore(highlight.listen, () => highlight.current() === group);
}

/** What an element needs so that pointer and keyboard let its group stand out. */
export function useLights(group: string) {
  const highlight = useHighlight();
  const [on, off] = [() => highlight.set(group), () => highlight.set(null)];
  return { onMouseEnter: on, onMouseLeave: off, onFocus: on, onBlur: off };
}
