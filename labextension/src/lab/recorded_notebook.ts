// The notebook that a recording goes into: the one that was used last, else a new one. It knows no package of the
// notebook: an extension of its widget tells which are open.
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { Widget } from '@lumino/widgets';
import type { Pad } from './recorder';

interface SharedCell {
  readonly cell_type: string;
  getSource(): string;
  setSource(source: string): void;
}

/** What this file needs of a notebook's shared model. */
export interface SharedNotebook {
  readonly cells: readonly SharedCell[];
  insertCell(index: number, cell: { cell_type: 'code'; source: string }): unknown;
}

interface Signal {
  connect(slot: () => void): unknown;
}

/** What this file needs of a notebook's context. */
interface NotebookContext {
  readonly path: string;
  readonly ready: Promise<void>;
  readonly isDisposed: boolean;
  readonly contentsModel?: { writable?: boolean } | null;
  readonly model: { sharedModel: SharedNotebook };
  readonly pathChanged: Signal;
  readonly disposed: Signal;
}

/** Put code into a new last cell, or into the last one if that is empty. */
export function appendCell(notebook: SharedNotebook, code: string): void {
  const last = notebook.cells.at(-1);
  if (last?.cell_type === 'code' && last.getSource().trim() === '') last.setSource(code);
  else notebook.insertCell(notebook.cells.length, { cell_type: 'code', source: code });
}

const fileName = (path: string): string => path.split('/').at(-1) ?? path;

function padOf(context: NotebookContext): Pad {
  return {
    name: () => fileName(context.path),
    append: code => {
      if (!context.isDisposed) appendCell(context.model.sharedModel, code);
    },
    follow: (renamed, closed) => {
      context.pathChanged.connect(renamed);
      context.disposed.connect(closed);
    },
  };
}

export class OpenNotebooks {
  readonly #open = new Map<Widget, NotebookContext>(); // the one that was used last at the end

  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly isLab: boolean,
  ) {
    app.docRegistry.addWidgetExtension('Notebook', {
      createNew: (panel, context) => {
        this.#open.set(panel, context as unknown as NotebookContext);
        panel.disposed.connect(() => void this.#open.delete(panel));
      },
    });
  }

  /** The notebook that was used last, else a new one. Rejects with a sentence where none can be made here. */
  readonly pad = async (): Promise<Pad> => {
    const context = this.#current() ?? (await this.#create());
    await context.ready;
    if (context.contentsModel?.writable === false)
      throw new Error(
        `The notebook ${fileName(context.path)} cannot be changed. Open one of your own to record.`,
      );
    return padOf(context);
  };

  /** A widget is in front. */
  readonly use = (widget: Widget | null): void => {
    const context = widget && this.#open.get(widget);
    if (!context) return;
    this.#open.delete(widget);
    this.#open.set(widget, context);
  };

  #current(): NotebookContext | undefined {
    this.use(this.app.shell.currentWidget);
    return [...this.#open.values()].at(-1);
  }

  /** The command gives the new widget in JupyterLab; on a page of Notebook 7 it opens another page. */
  async #create(): Promise<NotebookContext> {
    const { commands, serviceManager } = this.app;
    await serviceManager.kernelspecs.ready;
    const kernelName = serviceManager.kernelspecs.specs?.default;
    const made = this.isLab && ((await commands.execute('notebook:create-new', { kernelName })) as Widget);
    const context = made && this.#open.get(made);
    if (!context) throw new Error('No notebook is open here. Open one, and switch recording on beside it.');
    return context;
  }
}
