// The views as Lab widgets: the side bar and the tabs of the main area.
import { ReactWidget } from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';
import { UUID } from '@lumino/coreutils';
import { Signal } from '@lumino/signaling';
import type { Widget } from '@lumino/widgets';
import { useState, useSyncExternalStore, type ReactElement } from 'react';
import { SourceProvider, type Source } from '../views/data/source';
import type { Board } from '../views/data/types';
import { HostProvider, type Host } from '../views/ui/host';
import { lazyView } from '../views/ui/lazy_view';
import { MarkdownProvider, type RenderMarkdown } from '../views/ui/markdown';
import { NavigationProvider, type Place } from '../views/ui/navigation';
import { PreferencesProvider, type PreferenceStore } from '../views/ui/preferences';
import { labIcon, tensorBoardIcon } from './icons';

// Lab waits for the plugins' own file before it starts: each page is a file that comes when the page is first shown.
const ComparePage = lazyView(() => import('../views/pages/compare').then(page => page.ComparePage));
const ConfigPage = lazyView(() => import('../views/pages/config').then(page => page.ConfigPage));
const ProjectPage = lazyView(() => import('../views/pages/project').then(page => page.ProjectPage));
const DevicesPage = lazyView(() => import('../views/pages/devices_page').then(page => page.DevicesPage));
const DatasetPage = lazyView(() => import('../views/pages/dataset').then(page => page.DatasetPage));
const NewNotebookRun = lazyView(() =>
  import('../views/forms/new_notebook_run').then(page => page.NewNotebookRun),
);
const NewRun = lazyView(() => import('../views/forms/new_run').then(page => page.NewRun));
const NewSweep = lazyView(() => import('../views/forms/new_sweep').then(page => page.NewSweep));
const RegistriesPage = lazyView(() => import('../views/pages/registries').then(page => page.RegistriesPage));
const RunPage = lazyView(() => import('../views/pages/run').then(page => page.RunPage));
const RunsPage = lazyView(() => import('../views/pages/runs').then(page => page.RunsPage));
const Sidebar = lazyView(() => import('../views/pages/sidebar').then(page => page.Sidebar));
export const TensorBoardPage = lazyView(() =>
  import('../views/pages/tensorboard').then(page => page.TensorBoardPage),
);

/** Where a TensorBoard is served. */
export const tensorBoardAddress =
  (settings: ServerConnection.ISettings) =>
  (id: string): string =>
    `${URLExt.join(settings.baseUrl, 'imgcls/tensorboard', encodeURIComponent(id))}/`;

/** What all views of a page share. */
export interface Context {
  source: Source;
  preferences: PreferenceStore;
  navigate: (place: Place) => void;
  /** What Lab can do for the views beside showing places. */
  host?: Host;
  /** Where a TensorBoard is served. */
  address: (id: string) => string;
  /** null: Markdown is shown as it was typed. */
  markdown: RenderMarkdown | null;
  titles: Record<Place['view'], string>;
}

/** A view as a widget of Lab, with what it needs around it. */
export abstract class ViewWidget extends ReactWidget {
  constructor(protected readonly context: Pick<Context, 'source' | 'preferences' | 'navigate' | 'host'>) {
    super();
    this.addClass('imgcls');
  }

  protected abstract view(): ReactElement | null;

  protected override render(): ReactElement {
    return (
      <SourceProvider value={this.context.source}>
        <NavigationProvider value={this.context.navigate}>
          <PreferencesProvider value={this.context.preferences}>
            <HostProvider value={this.context.host ?? {}}>{this.view()}</HostProvider>
          </PreferencesProvider>
        </NavigationProvider>
      </SourceProvider>
    );
  }
}

/** The run whose page is in front. */
interface CurrentRun {
  read: () => string | undefined;
  listen: (changed: () => void) => () => void;
}

function Panel({ current }: { current: CurrentRun }) {
  return <Sidebar current={useSyncExternalStore(current.listen, current.read)} />;
}

class SidebarWidget extends ViewWidget {
  constructor(
    context: Context,
    private readonly current: CurrentRun,
  ) {
    super(context);
    this.node.tabIndex = -1;
  }

  /** The keyboard follows: Tab goes on inside. */
  protected override onActivateRequest(): void {
    if (!this.node.contains(document.activeElement)) this.node.focus();
  }

  protected override view(): ReactElement {
    return <Panel current={this.current} />;
  }
}

/** The panel at the left. */
export function sidebar(context: Context, current: CurrentRun, caption: string): Widget {
  const widget = new SidebarWidget(context, current);
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

/** A tab of the main area. */
export class Tab extends ViewWidget {
  /** What to open when the tab is restored: what it shows by now. */
  place: Place;
  readonly placeChanged = new Signal<this, void>(this);
  #start: Place;
  #shown = 0; // how often another place was asked for
  readonly #shared: Context;

  constructor(
    place: Place,
    context: Context,
    /** By which the saved layout knows it, whatever place it shows by then. */
    readonly key: string = UUID.uuid4(),
  ) {
    super(context);
    this.place = this.#start = place;
    this.#shared = context;
    this.id = `imgcls-lab-${place.view}-${place.view === 'run' ? place.id : ++serial}`;
    this.addClass('imgcls-main');
    this.title.icon = place.view === 'tensorboard' ? tensorBoardIcon : labIcon;
    this.title.closable = true;
    this.#setTitle(context.titles[place.view]);
  }

  /** Show another place of its kind. */
  showPlace(place: Place): void {
    this.#start = place;
    this.#shown += 1;
    this.#setPlace(place);
    this.update();
  }

  override dispose(): void {
    Signal.clearData(this);
    super.dispose();
  }

  protected override view(): ReactElement {
    const place = this.#start;
    switch (place.view) {
      case 'new-run':
        return (
          <NewRun
            from={place.from}
            dataset={place.dataset}
            revision={place.revision}
            config={place.config}
            version={place.version}
            folder={place.folder}
            project={place.project}
            onLaunched={this.#close}
          />
        );
      case 'config':
        return <ConfigPage id={place.id} onTitle={this.#setTitle} onClose={this.#close} />;
      case 'project':
        return <ProjectPage id={place.id} onTitle={this.#setTitle} onClose={this.#close} />;
      case 'dataset':
        return (
          <DatasetPage
            id={place.id}
            tab={place.tab}
            onTab={tab => this.#setPlace({ ...place, tab })}
            onTitle={this.#setTitle}
            onClose={this.#close}
          />
        );
      case 'run':
      case 'executed-notebook': // the host opens it as a notebook
        return (
          <MarkdownProvider value={this.#shared.markdown}>
            <RunPage id={place.id} onTitle={this.#setTitle} onClose={this.#close} />
          </MarkdownProvider>
        );
      case 'runs':
        return (
          <RunsPage
            key={this.#shown}
            start={place.list}
            onView={list => this.#setPlace({ view: 'runs', list })}
          />
        );
      case 'run-notebook':
        return <NewNotebookRun path={place.path} onLaunched={this.#close} />;
      case 'new-sweep':
        return <NewSweep from={place.from} onLaunched={this.#close} />;
      case 'tensorboard':
        return <TensorBoardPage target={place} address={this.#shared.address} onOpen={this.#onTensorBoard} />;
      case 'devices':
        return <DevicesPage />;
      case 'registries':
        return <RegistriesPage key={this.#shown} registry={place.registry} />;
      case 'compare':
        return <Compare start={place.ids} onChange={ids => this.#setPlace({ view: 'compare', ids })} />;
    }
  }

  readonly #close = (): void => this.parent?.close();

  readonly #setTitle = (title: string): void => {
    this.title.label = title;
    this.title.caption = title;
  };

  readonly #onTensorBoard = ({ id, title, run_ids, sweep_id, project_id }: Board): void => {
    const runs = sweep_id ? { sweep_id } : project_id == null ? { run_ids } : { project_id };
    const tag = this.#start.view === 'tensorboard' ? this.#start.tag : undefined;
    this.#setPlace({ view: 'tensorboard', id, ...runs, ...(tag && { tag }) });
    this.#setTitle(title);
  };

  #setPlace(place: Place): void {
    this.place = place;
    this.placeChanged.emit();
  }
}
