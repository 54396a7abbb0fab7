// A new cell with code in the notebook that was used last, by Lab's own commands: no package of the notebook is needed.
import type { JupyterFrontEnd } from '@jupyterlab/application';

/** Rejects with a sentence where no notebook is open. */
export async function insertCell(app: JupyterFrontEnd, code: string): Promise<void> {
  const open = [...app.shell.widgets('main')].some(widget => widget.hasClass('jp-NotebookPanel'));
  if (!open || !app.commands.hasCommand('notebook:insert-cell-below'))
    throw new Error('No notebook is open. Open the one that shall have the cell, then insert it.');
  await app.commands.execute('notebook:insert-cell-below');
  await app.commands.execute('notebook:replace-selection', { text: code });
}
