// The views as Lab widgets: the side bar, the tabs of the main area, and a run in an output cell.
import { ReactWidget } from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { ServerConnection } from '@jupyterlab/services';
import { UUID } from '@lumino/coreutils';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import { useState, useSyncExternalStore, type ReactElement } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { BoardPage, type Wanted } from '../views/board';
import { ComparePage } from '../views/compare';
import { LibraryPage } from '../views/library';
import { LiveRun } from '../views/live';
import { NewRun } from '../views/newrun';
import { NewSweep } from '../views/newsweep';
import { NotebookPage } from '../views/notebook';
import { GoProvider, type Place } from '../views/place';
import { RunPage } from '../views/run';
import { RunsPage } from '../views/runs';
import { Sidebar } from '../views/sidebar';
import { SourceProvider, type Source } from '../views/source';
import { boardIcon, labIcon } from './icons';

/** Where a board is served. */
export const boardAddress =
  (settings: ServerConnection.ISettings) =>
  (id: string): string =>
    `${URLExt.join(settings.baseUrl, 'imgcls/tensorboard', encodeURIComponent(id))}/`;

export type Go = (place: Place) => void;

class View extends ReactWidget {
  constructor(
    private readonly view: ReactElement,
    private readonly source: Source,
    private readonly go: Go,
  ) {
    super();
    this.addClass('imgcls');
  }

  protected override render(): ReactElement {
    return (
      <SourceProvider value={this.source}>
        <GoProvider value={this.go}>{this.view}</GoProvider>
      </SourceProvider>
    );
  }
}

function Panel({ current }: { current: Current }) {
  return <Sidebar current={useSyncExternalStore(current.listen, current.read)} />;
}

/** The run whose page is looked at. */
export interface Current {
  read: () => string | undefined;
  listen: (changed: () => void) => () => void;
}

/** The panel at the left. */
export function sidebar(source: Source, go: Go, current: Current, caption: string): Widget {
  const widget = new View(<Panel current={current} />, source, go);
  widget.id = 'imgcls-lab-sidebar';
  widget.addClass('imgcls-side');
  widget.title.icon = labIcon;
  widget.title.caption = caption;
  return widget;
}

function Compare({ start, onChange }: { start: string[]; onChange: (ids: string[]) => void }) {
  const [ids, setIds] = useState(start);
  return (
    <ComparePage
      ids={ids}
      onChange={next => {
        setIds(next);
        onChange(next);
      }}
    />
  );
}

let serial = 0;

/** A tab of the main area. `place` says what to open when it is restored. */
export class Tab extends View {
  place: Place;
  /** By which the saved layout knows it, whatever place it shows by then. */
  readonly key: string;

  constructor(
    place: Place,
    source: Source,
    go: Go,
    titles: Record<Place['view'], string>,
    onChange: (tab: Tab) => void,
    address: (id: string) => string,
    key: string = UUID.uuid4(),
  ) {
    const self: { tab?: Tab } = {};
    const named = (title: string) => {
      if (!self.tab) return;
      self.tab.title.label = title;
      self.tab.title.caption = title;
    };
    const close = () => self.tab?.parent?.close();
    super(element(), source, go);
    self.tab = this;
    this.place = place;
    this.key = key;
    this.id = `imgcls-lab-${place.view}-${place.view === 'run' ? place.id : ++serial}`;
    this.addClass('imgcls-main');
    this.title.icon = place.view === 'board' ? boardIcon : labIcon;
    this.title.closable = true;
    named(titles[place.view]);

    function element(): ReactElement {
      switch (place.view) {
        case 'new':
          return <NewRun from={place.from} onLaunched={close} />;
        case 'run':
          return <RunPage id={place.id} onTitle={named} onClose={close} />;
        case 'runs':
          return <RunsPage />;
        case 'notebook':
          return <NotebookPage path={place.path} onLaunched={close} />;
        case 'newsweep':
          return <NewSweep from={place.from} onLaunched={close} />;
        case 'executed': // the host opens it as a notebook
          return <RunPage id={place.id} onTitle={named} onClose={close} />;
        case 'board':
          return (
            <BoardPage
              wanted={place}
              address={address}
              onOpen={({ id, title, run_ids, sweep_id, project_id }) => {
                if (!self.tab) return;
                const runs = sweep_id ? { sweep_id } : project_id == null ? { run_ids } : { project_id };
                const { tag } = place;
                self.tab.place = { view: 'board', id, ...runs, ...(tag && { tag }) };
                named(title);
                onChange(self.tab);
              }}
            />
          );
        case 'library':
          return <LibraryPage shelf={place.shelf} />;
        case 'compare':
          return (
            <Compare
              start={place.ids}
              onChange={ids => {
                if (!self.tab) return;
                self.tab.place = { view: 'compare', ids };
                onChange(self.tab);
              }}
            />
          );
      }
    }
  }
}

export const RUN_MIME = 'application/vnd.imgcls.run+json';

/** A run in an output cell, live from the server by its id: no kernel is asked. */
export class RunOutput extends Widget implements IRenderMime.IRenderer {
  readonly #source: Source;
  #root: Root | null = null;
  #id = '';

  constructor(source: Source) {
    super();
    this.#source = source;
    this.addClass('imgcls-output');
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const data = model.data[RUN_MIME] as { run_id?: unknown } | undefined;
    this.#id = typeof data?.run_id === 'string' ? data.run_id : '';
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
    if (!this.isAttached || !this.#id) return;
    this.#root ??= createRoot(this.node);
    this.#root.render(<LiveRun source={this.#source} runId={this.#id} />);
  }
}

export const BOARD_MIME = 'application/vnd.imgcls.tensorboard+json';

/** A TensorBoard in an output cell: of the runs or the project that the cell named. */
export class BoardOutput extends Widget implements IRenderMime.IRenderer {
  #root: Root | null = null;
  #wanted: Wanted | null = null;

  constructor(
    private readonly source: Source,
    private readonly address: (id: string) => string,
  ) {
    super();
    this.addClass('imgcls');
    this.addClass('imgcls-output');
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const { run_ids, sweep_id, tag } = (model.data[BOARD_MIME] ?? {}) as Record<string, unknown>;
    const curve = typeof tag === 'string' ? { tag } : {};
    if (typeof sweep_id === 'string') this.#wanted = { sweep_id, ...curve };
    else if (Array.isArray(run_ids)) this.#wanted = { run_ids: run_ids.map(String), ...curve };
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
    if (!this.isAttached || !this.#wanted) return;
    this.#root ??= createRoot(this.node);
    this.#root.render(
      <SourceProvider value={this.source}>
        <BoardPage wanted={this.#wanted} address={this.address} />
      </SourceProvider>,
    );
  }
}
