// Outputs of cells that live from the server by what their data names: a run, a sweep, a TensorBoard. No kernel is asked.
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import type { ReactElement } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { BoardPage, type Wanted } from '../views/pages/tensorboard';
import { LiveRun } from '../views/live/live_run';
import { LiveSweep } from '../views/live/live_sweep';
import { GoProvider } from '../views/ui/navigation';
import { SourceProvider, type Source } from '../views/data/source';
import type { Go } from './widgets';

/** What an output needs of the page around it. */
export interface Host {
  source: Source;
  go: Go;
  /** Where a board is served. */
  address: (id: string) => string;
}

type Data = Record<string, unknown>;

export interface Kind {
  mime: string;
  /** Whether it may be shown in a notebook that the user does not trust: it starts nothing. */
  safe: boolean;
  /** The view of an output's data; null where they name nothing. */
  view: (data: Data, host: Host) => ReactElement | null;
}

function board({ run_ids, sweep_id, tag }: Data): Wanted | null {
  const curve = typeof tag === 'string' ? { tag } : {};
  if (typeof sweep_id === 'string') return { sweep_id, ...curve };
  return Array.isArray(run_ids) ? { run_ids: run_ids.map(String), ...curve } : null;
}

/** The kinds of output that `imgcls_lab.api` makes. */
export const KINDS: Kind[] = [
  {
    mime: 'application/vnd.imgcls.run+json',
    safe: true,
    view: ({ run_id }, { source }) =>
      typeof run_id === 'string' ? <LiveRun source={source} runId={run_id} /> : null,
  },
  {
    mime: 'application/vnd.imgcls.sweep+json',
    safe: true,
    view: ({ run_id }) => (typeof run_id === 'string' ? <LiveSweep id={run_id} /> : null),
  },
  {
    mime: 'application/vnd.imgcls.tensorboard+json',
    safe: false, // it starts a process
    view: (data, { address }) => {
      const wanted = board(data);
      return wanted && <BoardPage wanted={wanted} address={address} />;
    },
  },
];

export class Output extends Widget implements IRenderMime.IRenderer {
  #root: Root | null = null;
  #view: ReactElement | null = null;

  constructor(
    private readonly kind: Kind,
    private readonly host: Host,
  ) {
    super();
    this.addClass('imgcls');
    this.addClass('imgcls-output');
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.#view = this.kind.view((model.data[this.kind.mime] ?? {}) as Data, this.host);
    this.#show();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.#show();
  }

  protected override onBeforeDetach(message: Message): void {
    this.#root?.unmount();
    this.#root = null;
    super.onBeforeDetach(message);
  }

  #show(): void {
    if (!this.isAttached || !this.#view) return;
    this.#root ??= createRoot(this.node);
    this.#root.render(
      <SourceProvider value={this.host.source}>
        <GoProvider value={this.host.go}>{this.#view}</GoProvider>
      </SourceProvider>,
    );
  }
}
