// What a notebook keeps of its runs' cells: when a run ends, and before each save, the picture, table and text of its
// outputs are put into the notebook's model, so that the file says how the run stands by then. The server makes them.
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { runsStoreOf } from '../views/data/runs_store';
import { SourceError, type Source } from '../views/data/source';
import { isActive, type Run, type StaticCell } from '../views/data/types';
import { RUN_TYPE, WIDGET_TYPE } from './output_types';

/** What this file needs of a notebook's model. */
export interface NotebookModel {
  readonly cells: Iterable<{
    readonly outputs?: { readonly length: number; get(index: number): OutputModel };
  }>;
}
type OutputModel = Pick<IRenderMime.IMimeModel, 'data' | 'metadata' | 'setData'>;

const AGAIN = 3000; // ms between two questions for the same run while it lives
const SETTLED = /^succeeded /; // nothing changes such a run

/** The mark of what a cell would keep of a run now; `static_cell.mark` makes it in Python. */
export const markOf = ({ state, attempt, epoch }: Run): string =>
  `${state} ${attempt} ${Math.floor(epoch + 1e-6)}`;

interface Named {
  output: OutputModel;
  id: string;
  kept: string;
}

/** The outputs of a notebook that show a run. */
export function* runOutputs(model: NotebookModel | null): Generator<Named> {
  for (const { outputs } of model?.cells ?? [])
    for (let i = 0; outputs && i < outputs.length; i++) {
      const output = outputs.get(i);
      const named = output.data[RUN_TYPE] as { run_id?: unknown; kept?: unknown } | undefined;
      if (typeof named?.run_id === 'string')
        yield { output, id: named.run_id, kept: String(named.kept ?? '') };
    }
}

/** Put what is kept of a run into an output whose run the server knows, without the kernel's widget: where the file is
 * opened later without that kernel and this extension, Lab would choose the widget and not the picture, and miss it. */
export function apply({ output, id }: Named, cell?: StaticCell): void {
  const rest = Object.fromEntries(Object.entries(output.data).filter(([kind]) => kind !== WIDGET_TYPE));
  const before = output.data[RUN_TYPE] as ReadonlyPartialJSONObject;
  const kept = cell && { ...cell.data, [RUN_TYPE]: { ...before, run_id: id, kept: cell.kept } };
  output.setData({ data: { ...rest, ...kept }, metadata: { ...output.metadata, ...cell?.metadata } });
}

/** Keeps the cells of one notebook. */
export class StaticCells {
  readonly #cells = new Map<string, StaticCell>();
  readonly #served = new Set<string>(); // runs that the server knows
  readonly #asked = new Map<string, number>(); // when each run was asked for, in ms
  readonly #waiting = new Set<string>(); // runs that will be asked for
  readonly #stop = new AbortController();

  constructor(
    private readonly source: Source,
    private readonly model: () => NotebookModel | null,
  ) {
    this.#stop.signal.addEventListener(
      'abort',
      runsStoreOf(source).listen(
        () => undefined,
        (_, now) => this.#changed(now),
      ),
    );
  }

  get isDisposed(): boolean {
    return this.#stop.signal.aborted;
  }

  dispose(): void {
    this.#stop.abort();
  }

  /** Ask for what the notebook was saved without: its runs went on while it was closed. */
  readonly open = (): void => {
    const ids = new Set<string>();
    for (const { id, kept } of runOutputs(this.model())) if (!SETTLED.test(kept)) ids.add(id);
    for (const id of ids) void this.#ask(id);
  };

  /** Bring the notebook up to date with what was asked for. */
  readonly save = (): void => {
    for (const named of runOutputs(this.model())) {
      const cell = this.#cells.get(named.id);
      const newer = cell && cell.kept !== named.kept ? cell : undefined;
      if (newer || (this.#served.has(named.id) && WIDGET_TYPE in named.output.data)) apply(named, newer);
    }
  };

  #changed(run: Run): void {
    this.#served.add(run.id);
    const mark = markOf(run);
    if (this.#cells.get(run.id)?.kept === mark) return;
    for (const { id, kept } of runOutputs(this.model()))
      if (id === run.id && kept !== mark) return void this.#ask(id, !isActive(run.state));
  }

  /** At once when the run has ended; while it lives from time to time. */
  async #ask(id: string, atOnce = true): Promise<void> {
    if (!atOnce) {
      if (this.#waiting.has(id)) return;
      const wait = (this.#asked.get(id) ?? -AGAIN) + AGAIN - performance.now();
      this.#waiting.add(id);
      if (wait > 0) await new Promise(resolve => setTimeout(resolve, wait));
      this.#waiting.delete(id);
    }
    if (this.isDisposed) return;
    this.#asked.set(id, performance.now());
    try {
      const cell = await this.source.query('staticCell', { id }, this.#stop.signal);
      this.#cells.set(id, cell);
      this.#served.add(id);
      if (cell.ended) this.save();
    } catch (error) {
      if (!(error instanceof SourceError) && !this.isDisposed) throw error;
      // the server is away or does not know the run: the notebook keeps what it has
    }
  }
}

/** Keep the cells of each notebook that is opened. One that cannot be written stays as it is. */
export function keepStaticCells(app: JupyterFrontEnd, source: Source): void {
  app.docRegistry.addWidgetExtension('Notebook', {
    createNew: (panel, context) => {
      const cells = new StaticCells(source, () => context.model as unknown as NotebookModel | null);
      const isWritable = () => context.contentsModel?.writable !== false;
      void context.ready.then(() => isWritable() && cells.open());
      context.saveState.connect((_, state) => {
        if (state === 'started' && isWritable()) cells.save();
      });
      panel.disposed.connect(() => cells.dispose());
      return cells;
    },
  });
}
