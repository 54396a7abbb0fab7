// Executed notebooks of runs as a drive of Lab, so that they open in its own notebook view wherever they lie on the
// server's disk. Read only; what cannot be done to them is refused with a sentence.
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection, type Contents } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ToolbarButton, refreshIcon, type Toolbar } from '@jupyterlab/ui-components';
import { Signal } from '@lumino/signaling';
import { runsStoreOf } from '../views/data/runs_store';
import type { Source } from '../views/data/source';
import { isActive } from '../views/data/types';

const DRIVE = 'imgcls-runs';

/** Where Lab finds the executed notebook of a run. */
export const executedPath = (id: string): string => `${DRIVE}:${id}.ipynb`;

/** Give each executed notebook a button that reads it again, and read it once more by itself when its run has ended. */
export function refreshExecuted(app: JupyterFrontEnd, source: Source, trans: TranslationBundle): void {
  app.docRegistry.addWidgetExtension('Notebook', {
    createNew: (panel, context) => {
      const id = RegExp(`^${DRIVE}:(.+)\\.ipynb$`).exec(context.path)?.[1];
      if (id === undefined) return;
      const refresh = () => void context.revert();
      const button = new ToolbarButton({
        icon: refreshIcon,
        label: trans.__('Refresh'),
        tooltip: trans.__('Show what the run has executed by now'),
        onClick: refresh,
      });
      (panel as typeof panel & { toolbar: Toolbar }).toolbar.insertItem(0, 'imgcls-refresh', button);
      const stop = runsStoreOf(source).listen(
        () => undefined,
        (before, now) => {
          if (now.id === id && before && isActive(before.state) && !isActive(now.state)) refresh();
        },
      );
      button.disposed.connect(stop);
      return button;
    },
  });
}

const refuse = (): Promise<never> =>
  Promise.reject(
    new Error('The executed notebook of a run is kept as it is; save a copy under another name.'),
  );

export class ExecutedDrive implements Contents.IDrive {
  readonly name = DRIVE;
  readonly fileChanged = new Signal<this, Contents.IChangedArgs>(this);
  isDisposed = false;

  constructor(readonly serverSettings: ServerConnection.ISettings) {}

  dispose(): void {
    this.isDisposed = true;
    Signal.clearData(this);
  }

  async get(path: string, options?: Contents.IFetchOptions): Promise<Contents.IModel> {
    const id = path.replace(/\.ipynb$/, '');
    const stamp = new Date().toISOString();
    const model = { name: `${id}.ipynb`, path, created: stamp, last_modified: stamp, writable: false };
    if (!id) {
      return { ...model, name: '', type: 'directory', format: 'json', mimetype: '', content: [] };
    }
    const url = URLExt.join(
      this.serverSettings.baseUrl,
      'imgcls/api/runs',
      encodeURIComponent(id),
      'notebook',
    );
    const response = await ServerConnection.makeRequest(url, {}, this.serverSettings);
    if (!response.ok) throw await ServerConnection.ResponseError.create(response);
    const content: unknown = options?.content === false ? null : await response.json();
    return { ...model, type: 'notebook', format: 'json', mimetype: 'application/x-ipynb+json', content };
  }

  async getDownloadUrl(path: string): Promise<string> {
    const id = path.replace(/\.ipynb$/, '');
    return URLExt.join(this.serverSettings.baseUrl, 'imgcls/api/runs', encodeURIComponent(id), 'notebook');
  }

  async listCheckpoints(): Promise<Contents.ICheckpointModel[]> {
    return [];
  }

  newUntitled = refuse;
  delete = refuse;
  rename = refuse;
  save = refuse;
  copy = refuse;
  createCheckpoint = refuse;
  restoreCheckpoint = refuse;
  deleteCheckpoint = refuse;
}
