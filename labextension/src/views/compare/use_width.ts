// The width of an element in px, also after it has changed: for drawings whose text must not be scaled.
import { useEffect, useRef, useState } from 'react';

export function useWidth<E extends Element>(): [React.RefObject<E>, number] {
  const host = useRef<E>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const watch = new ResizeObserver(entries => setWidth(Math.floor(entries[0]!.contentRect.width)));
    watch.observe(host.current!);
    return () => watch.disconnect();
  }, []);
  return [host, width];
}
