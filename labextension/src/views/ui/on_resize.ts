// Hears when an element has another size. The call comes in the next frame: what changes the layout inside the
// observer's own call can make another element's news late, of which the browser complains on its console.

/** Call when the element's size has changed, until the returned function is called. */
export function onResize(element: Element, call: () => void): () => void {
  let frame = 0;
  const observer = new ResizeObserver(() => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(call);
  });
  observer.observe(element);
  return () => {
    observer.disconnect();
    cancelAnimationFrame(frame);
  };
}
