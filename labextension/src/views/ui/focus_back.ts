// Focus that goes back to what opened an edit, once the edit that stood in its place is over.
import { useCallback, useRef } from 'react';

export interface FocusBack {
  /** The focus goes to the element of this name when it is there again. */
  to: (name: string) => void;
  /** The ref of the element of a name. */
  ref: (name: string) => (node: HTMLElement | null) => void;
}

export function useFocusBack(): FocusBack {
  const wanted = useRef<string | null>(null);
  const to = useCallback((name: string) => void (wanted.current = name), []);
  const ref = useCallback(
    (name: string) => (node: HTMLElement | null) => {
      if (!node || wanted.current !== name) return;
      wanted.current = null;
      node.focus();
    },
    [],
  );
  return { to, ref };
}
