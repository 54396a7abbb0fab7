// The one source of a page, shared by all plugins.
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ServerConnection } from '@jupyterlab/services';
import { ServerSource } from './server_source';

const sources = new WeakMap<ServerConnection.ISettings, ServerSource>();

export function sourceOf(app: JupyterFrontEnd): ServerSource {
  const settings = app.serviceManager.serverSettings;
  let source = sources.get(settings);
  if (!source) sources.set(settings, (source = new ServerSource(settings)));
  return source;
}
