// The width of an element's content in px, also after it has changed: for drawings whose text must not be scaled, and
// for what is not shown where there is no room. 0 before it is drawn. The element may come, and go, later than its view.
import { useLayoutEffect, useState, type RefCallback } from 'react';
import { onResize } from './on_resize';

export function useWidth<E extends Element>(): [RefCallback<E>, number] {
  const [host, setHost] = useState<E | null>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    if (!host) return setWidth(0);
    const read = () => setWidth(Math.floor(host.getBoundingClientRect().width)); // of an element without a frame
    read(); // before it is painted
    return onResize(host, read);
  }, [host]);
  return [setHost, width];
}
