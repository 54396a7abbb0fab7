// The width of an element's content in px, also after it has changed: for drawings whose text must not be scaled, and
// for what is not shown where there is no room. 0 before it is drawn.
import { useLayoutEffect, useRef, useState } from 'react';
import { onResize } from './on_resize';

export function useWidth<E extends Element>(): [React.RefObject<E>, number] {
  const host = useRef<E>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const read = () => setWidth(Math.floor(host.current!.getBoundingClientRect().width)); // of an element without a frame
    read(); // before it is painted
    return onResize(host.current!, read);
  }, []);
  return [host, width];
}
