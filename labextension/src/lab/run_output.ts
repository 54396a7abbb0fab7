// The output of a run or of a list of runs: live from the server. Where the server cannot, since its extension is off or it has another home
// than the kernel, the kernel's widget; without a kernel the picture that the notebook keeps, and a sentence that says why.
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Panel } from '@lumino/widgets';
import { SourceError, type Source } from '../views/data/source';
import { KernelOutput, type Words } from './kernel_output';
import type { RUNS_TYPE, RUN_TYPE } from './output_types';

/** How a run, or a list of them, is seen live again. The cell itself may launch another run. */
const show = (runId: string | null, where: string): string =>
  `To see it live, run ${runId === null ? 'lab.runs()' : `lab.run("${runId}")`} in ${where}.`;

/** What an output says where the server does not know its run. */
export function wordsFor(runId: string | null, home: string, serverHome: string | null): Words {
  if (serverHome === null) {
    const off =
      'The server extension of imgcls-lab is not enabled here (jupyter server extension enable imgcls_lab)';
    const again = show(runId, 'a new cell');
    return { live: '', still: `This is the saved picture. ${off}, and no kernel follows the run. ${again}` };
  }
  if (!home || home === serverHome) {
    const gone = `There is no run ${runId ?? ''} in ${serverHome} any more: it was deleted.`;
    return { live: gone, still: `${gone} This is the picture that the notebook keeps.` };
  }
  const what = runId === null ? 'These runs are' : 'This run is';
  const homes = `${what} in the home ${home} of the kernel that ran this cell; this server shows ${serverHome}.`;
  return {
    live: homes,
    still: `${homes} This is the saved picture. ${show(runId, 'a kernel with that home')}`,
  };
}

export class RunOutput extends Panel implements IRenderMime.IRenderer {
  #shown: Promise<IRenderMime.IRenderer> | null = null;
  readonly #stop = new AbortController();

  constructor(
    private readonly source: Source,
    private readonly mime: typeof RUN_TYPE | typeof RUNS_TYPE,
    private readonly live: () => IRenderMime.IRenderer,
  ) {
    super();
  }

  override dispose(): void {
    this.#stop.abort();
    super.dispose();
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const { run_id: id, home } = (model.data[this.mime] ?? {}) as { run_id?: unknown; home?: unknown };
    this.#shown ??= this.#choose(typeof id === 'string' ? id : null, typeof home === 'string' ? home : '');
    const shown = await this.#shown;
    if (!this.isDisposed) await shown.renderModel(model);
  }

  async #choose(id: string | null, home: string): Promise<IRenderMime.IRenderer> {
    const words = await this.#whyNotServed(id, home);
    const shown = words ? new KernelOutput(words) : this.live();
    if (!this.isDisposed) this.addWidget(shown);
    return shown;
  }

  /** null: the server knows the run, or does not answer now and is waited for by the live view. */
  async #whyNotServed(id: string | null, home: string): Promise<Words | null> {
    const { signal } = this.#stop;
    const missing = (error: unknown) => error instanceof SourceError && error.status === 404;
    try {
      if (id !== null) {
        await this.source.query('run', { id }, signal);
        return null;
      }
    } catch (error) {
      if (!missing(error)) return null;
    }
    try {
      const { home: ours } = await this.source.query('info', {}, signal);
      return id === null && ours === home ? null : wordsFor(id, home, ours);
    } catch (error) {
      return missing(error) ? wordsFor(id, home, null) : null;
    }
  }
}
