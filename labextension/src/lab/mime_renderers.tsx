// Outputs of cells that live from the server by what their data names: a run, images, a sweep, a TensorBoard. No kernel is
// asked.
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { ReactElement } from 'react';
import { galleryOf, originOf } from '../views/live/gallery_data';
import type { RunsQuery } from '../views/data/asked';
import type { TensorBoardTarget } from '../views/pages/tensorboard_session';
import { lazyView } from '../views/ui/lazy_view';
import { RUNS_TYPE, RUN_TYPE } from './output_types';
import { TensorBoardPage, ViewWidget, type Context } from './widgets';

const Gallery = lazyView(() => import('../views/live/gallery').then(view => view.Gallery));
const LiveRun = lazyView(() => import('../views/live/live_run').then(view => view.LiveRun));
const LiveRuns = lazyView(() => import('../views/live/live_runs').then(view => view.LiveRuns));
const LiveSweep = lazyView(() => import('../views/live/live_sweep').then(view => view.LiveSweep));

/** What an output needs of the page around it. */
export type OutputContext = Pick<Context, 'source' | 'preferences' | 'navigate' | 'address'>;

type Data = Record<string, unknown>;

interface OutputKind {
  mime: string;
  /** Whether it may be shown in a notebook that the user does not trust: it starts nothing. */
  safe: boolean;
  /** The view of an output's data; null where they name nothing. */
  view: (data: Data, context: OutputContext) => ReactElement | null;
}

function targetOf({ run_ids, sweep_id, tag }: Data): TensorBoardTarget | null {
  const curve = typeof tag === 'string' ? { tag } : {};
  if (typeof sweep_id === 'string') return { sweep_id, ...curve };
  return Array.isArray(run_ids) ? { run_ids: run_ids.map(String), ...curve } : null;
}

/** What a list of runs looks for, as the output of a cell says it; null where it says nothing of the kind. */
function runsQueryOf(data: Record<string, unknown>): RunsQuery | null {
  const { query } = data;
  return typeof query === 'object' && query !== null ? (query as RunsQuery) : null;
}

/** The kinds of output that `imgcls_lab.api` makes. */
export const KINDS: OutputKind[] = [
  {
    mime: RUN_TYPE,
    safe: true,
    view: ({ run_id }, { source }) =>
      typeof run_id === 'string' ? <LiveRun source={source} runId={run_id} opens /> : null,
  },
  {
    mime: RUNS_TYPE,
    safe: true,
    view: data => {
      const query = runsQueryOf(data);
      return query && <LiveRuns query={query} />;
    },
  },
  {
    mime: 'application/vnd.imgcls.images+json',
    safe: true,
    view: (data, { source }) => {
      const [gallery, pictureOf] = [galleryOf(data), originOf(data.of)];
      return gallery && pictureOf && <Gallery source={source} data={gallery} pictureOf={pictureOf} />;
    },
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
      const target = targetOf(data);
      return target && <TensorBoardPage target={target} address={address} />;
    },
  },
];

export class MimeRenderer extends ViewWidget implements IRenderMime.IRenderer {
  #data: Data | null = null;

  constructor(
    private readonly kind: OutputKind,
    private readonly page: OutputContext,
  ) {
    super(page);
    this.addClass('imgcls-output');
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.#data = (model.data[this.kind.mime] ?? {}) as Data;
    if (this.isAttached) this.update();
  }

  protected override view(): ReactElement | null {
    return this.#data && this.kind.view(this.#data, this.page);
  }
}
