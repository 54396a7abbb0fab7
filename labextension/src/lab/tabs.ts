// The tabs of the main area: each place has one tab, which is brought to the front when the place is opened again.
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { SplitPanel, TabPanel, type Widget } from '@lumino/widgets';
import type { Place } from '../views/ui/navigation';
import { Tab, type Context } from './widgets';

type TensorBoardPlace = Extract<Place, { view: 'tensorboard' }>;

/** Whether two places show one TensorBoard: the same one, or the same choice. */
function sameTensorBoard(a: TensorBoardPlace, b: TensorBoardPlace): boolean {
  if (a.tag !== b.tag) return false;
  if (a.id && b.id) return a.id === b.id;
  if (a.sweep_id || b.sweep_id) return a.sweep_id === b.sweep_id;
  if (a.project_id != null || b.project_id != null) return a.project_id === b.project_id;
  const runs = (place: TensorBoardPlace) => [...(place.run_ids ?? [])].sort().join();
  return runs(a) !== '' && runs(a) === runs(b);
}

/** Whether two places share a tab. Comparisons may be open several times. */
function samePlace(a: Place, b: Place): boolean {
  if (a.view === 'run' && b.view === 'run') return a.id === b.id;
  if (a.view === 'config' && b.view === 'config') return a.id === b.id;
  if (a.view === 'project' && b.view === 'project') return a.id === b.id;
  if (a.view === 'dataset' && b.view === 'dataset') return a.id === b.id;
  if (a.view === 'new-run' && b.view === 'new-run')
    return (['from', 'dataset', 'revision', 'config', 'version', 'folder', 'project'] as const).every(
      key => a[key] === b[key],
    );
  if (a.view === 'new-sweep' && b.view === 'new-sweep') return a.from === b.from;
  if (a.view === 'run-notebook' && b.view === 'run-notebook') return a.path === b.path;
  if (a.view === 'tensorboard' && b.view === 'tensorboard') return sameTensorBoard(a, b);
  return a.view === b.view && (a.view === 'runs' || a.view === 'registries' || a.view === 'devices');
}

/** Whether a tab that is open already is to show something else: a list that was asked for, one of the registries. */
const changes = (place: Place): boolean =>
  (place.view === 'runs' && place.list !== undefined) ||
  (place.view === 'registries' && place.registry !== undefined);

/** What the shell of Notebook 7 has beside what all shells have. */
interface SidePanels {
  expandLeft?: (id: string) => void;
  expandRight?: (id: string) => void;
}

/** Bring a widget to the front. Notebook 7 opens its side panels by calls of their own. */
export function reveal(app: JupyterFrontEnd, id: string, area: 'main' | 'left' | 'right'): void {
  app.shell.activateById(id);
  const panels = app.shell as SidePanels;
  if (area === 'left') panels.expandLeft?.(id);
  if (area === 'right') panels.expandRight?.(id);
}

const NARROW = 480; // pixels: a page at the right of a notebook is given half of the window where it has less

/** Give a page at the side of a notebook room: Notebook 7 opens its side panels as narrow as a list of files. */
function widen(widget: Widget): void {
  let part = widget;
  while (part.parent && !(part.parent instanceof SplitPanel)) part = part.parent;
  const split = part.parent;
  if (!(split instanceof SplitPanel) || part.node.offsetWidth >= NARROW) return;
  const at = split.widgets.indexOf(part); // the notebook is the one before it
  const widths = split.widgets.map(item => (item.isVisible ? item.node.offsetWidth : 0));
  const before = widths.slice(0, at - 1).reduce((sum, width) => sum + width, 0);
  const half = (split.node.offsetWidth - before) / 2;
  split.setRelativeSizes(widths.map((width, index) => (index === at || index === at - 1 ? half : width)));
}

export class Tabs {
  readonly tracker = new WidgetTracker<MainAreaWidget<Tab>>({ namespace: 'imgcls-lab-tabs' });

  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly context: Context,
    /** The main area takes several tabs: in Lab it does. In Notebook 7 see `#panel`. */
    private readonly hasTabs: boolean,
  ) {}

  /** Show a place. `key`: by which a saved layout knows its tab. */
  readonly open = ({ key, ...place }: Place & { key?: string }): void => {
    const known = this.tracker.find(item => !item.isDisposed && samePlace(item.content.place, place));
    if (known && changes(place)) known.content.showPlace(place);
    const widget = known ?? this.#add(new Tab(place, this.context, key));
    const panel = this.#panel();
    if (panel) {
      panel.currentWidget = widget;
      widget.activate();
    } else {
      reveal(this.app, widget.id, this.hasTabs ? 'main' : 'right');
      if (!this.hasTabs) widen(widget);
    }
  };

  /** What the tab in front shows. */
  readonly front = (): Place | undefined => {
    const widget = this.tracker.currentWidget;
    const shown = this.hasTabs ? widget === this.app.shell.currentWidget : widget?.isVisible;
    return shown ? widget?.content.place : undefined;
  };

  /** Id of the run whose page is in front. */
  readonly currentRun = (): string | undefined => {
    const place = this.front();
    return place?.view === 'run' ? place.id : undefined;
  };

  /**
   * Notebook 7 has one widget in its main area. On the page that lists files this is a panel of tabs, which takes ours,
   * too; beside a notebook they stand at the right.
   */
  #panel(): TabPanel | undefined {
    const main = this.hasTabs ? null : this.app.shell.currentWidget;
    return main instanceof TabPanel ? main : undefined;
  }

  #add(tab: Tab): MainAreaWidget<Tab> {
    const widget = new MainAreaWidget({ content: tab });
    widget.id = tab.id;
    widget.toolbar.hide();
    const { label, icon } = tab.title;
    Object.assign(widget.title, { label, caption: label, icon, closable: true });
    tab.title.changed.connect(({ label, caption }) => Object.assign(widget.title, { label, caption }));
    tab.placeChanged.connect(() => void this.tracker.save(widget));
    void this.tracker.add(widget);
    const panel = this.#panel();
    if (panel) panel.addWidget(widget);
    else this.app.shell.add(widget, this.hasTabs ? 'main' : 'right');
    return widget;
  }
}
