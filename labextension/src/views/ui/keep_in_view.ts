// What floats over a view stays within it.
const ROOM = 8; // CSS pixels between a panel and the edge of its view

/** Move a panel so far to the side that its view does not cut it off. */
export function keepInView(panel: HTMLElement): void {
  const view = panel.closest('.imgcls')?.getBoundingClientRect();
  if (!view) return;
  const { left, right } = panel.getBoundingClientRect();
  const over = Math.max(0, right + ROOM - view.right);
  const under = Math.max(0, view.left + ROOM - (left - over));
  panel.style.translate = `${under - over}px`;
}
