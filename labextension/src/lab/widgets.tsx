// The views as Lab widgets: the side bar and the tabs of the main area.
import { ReactWidget } from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';
import { UUID } from '@lumino/coreutils';
import type { Widget } from '@lumino/widgets';
import { useState, useSyncExternalStore, type ReactElement } from 'react';
import { BoardPage } from '../views/pages/tensorboard';
import { ComparePage } from '../views/pages/compare';
import { LibraryPage } from '../views/pages/registries';
import { NewRun } from '../views/forms/new_run';
import { NewSweep } from '../views/forms/new_sweep';
import { NotebookPage } from '../views/forms/new_notebook_run';
import { GoProvider, type Place } from '../views/ui/navigation';
import { RunPage } from '../views/pages/run';
import { RunsPage } from '../views/pages/runs';
import { Sidebar } from '../views/pages/sidebar';
import { SourceProvider, type Source } from '../views/data/source';
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
