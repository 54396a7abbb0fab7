// The settings of Image Lab in JupyterLab, as the views and plugins of a page read them. Where there are no settings
// (a smaller host) the defaults hold.
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { PreferenceStore, preferencesIn } from '../views/ui/preferences';

const stores = new WeakMap<object, PreferenceStore>();

/** The preferences of a page, shared by all plugins. */
export function preferencesOf(app: JupyterFrontEnd): PreferenceStore {
  const page = app.serviceManager;
  let store = stores.get(page);
  if (!store) stores.set(page, (store = new PreferenceStore()));
  return store;
}

export const preferences: JupyterFrontEndPlugin<void> = {
  id: 'imgcls-lab:settings',
  description: 'Notifications, colours of curves, default project and columns, as the settings have them.',
  autoStart: true,
  optional: [ISettingRegistry],
  activate: (app: JupyterFrontEnd, registry: ISettingRegistry | null) => {
    const store = preferencesOf(app);
    // canvases read the colours again when the attribute changes
    store.listen(() => (document.body.dataset.imgclsPalette = store.current().palette));
    registry
      ?.load(preferences.id)
      .then(settings => {
        const read = () => store.set(preferencesIn(name => settings.get(name).composite));
        read();
        settings.changed.connect(read);
      })
      .catch(error => console.warn('The settings of Image Lab could not be read; its defaults hold.', error));
  },
};
