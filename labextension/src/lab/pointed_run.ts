// The run whose context menu is open, or was when the command that is being executed was chosen in it; or the group of
// runs without a head, such as the repetitions of a run.
import type { JupyterFrontEnd } from '@jupyterlab/application';

export interface Pointed {
  /** Id of the run. */
  run?: string;
  /** The query of the runs of the group. */
  where?: string;
}

/** Where a run or a group has a context menu. */
export const RUNS = ['.imgcls [data-run]', '.imgcls-live[data-run]'];
export const GROUPS = ['.imgcls [data-where]'];

const readers = new WeakMap<JupyterFrontEnd, () => Pointed | undefined>();

/** Reads it. A menu closes before the command of its item is asked whether it is enabled, and executed. */
export function pointedRun(app: JupyterFrontEnd): () => Pointed | undefined {
  const known = readers.get(app);
  if (known) return known;
  const { menu } = app.contextMenu;
  const under = (): Pointed | undefined =>
    app.contextMenuHitTest(({ dataset }) => dataset.run !== undefined || dataset.where !== undefined)
      ?.dataset;
  let closing: Pointed | undefined;
  menu.aboutToClose.connect(() => {
    closing = under();
    setTimeout(() => (closing = undefined));
  });
  const read = () => closing ?? (menu.isAttached ? under() : undefined);
  readers.set(app, read);
  return read;
}
