// The run whose context menu is open, or was when the command that is being executed was chosen in it.
import type { JupyterFrontEnd } from '@jupyterlab/application';

const readers = new WeakMap<JupyterFrontEnd, () => string | undefined>();

/** Reads its id. A menu closes before the command of its item is asked whether it is enabled, and executed. */
export function pointedRun(app: JupyterFrontEnd): () => string | undefined {
  const known = readers.get(app);
  if (known) return known;
  const { menu } = app.contextMenu;
  const under = () => app.contextMenuHitTest(node => node.dataset.run !== undefined)?.dataset.run;
  let closing: string | undefined;
  menu.aboutToClose.connect(() => {
    closing = under();
    setTimeout(() => (closing = undefined));
  });
  const read = () => closing ?? (menu.isAttached ? under() : undefined);
  readers.set(app, read);
  return read;
}
