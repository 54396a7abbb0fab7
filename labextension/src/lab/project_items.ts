// The projects in the palette: each opens by its name. They are read when the page is there, and again when they change.
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import { onMutation } from '../views/data/mutate';
import type { Source } from '../views/data/source';
import { Commands } from './commands';

const MOST = 200; // a palette of more is none

/** Never rejects: where the server does not answer, the palette has no projects, and the panel says why. */
export function offerProjects(
  app: JupyterFrontEnd,
  source: Source,
  palette: ICommandPalette | null,
  category: string,
): void {
  if (!palette) return;
  let items: ReturnType<ICommandPalette['addItem']>[] = [];
  let reading = new AbortController();
  const read = () => {
    reading.abort();
    reading = new AbortController();
    source.query('projects', {}, reading.signal).then(
      projects => {
        items.forEach(item => item.dispose());
        items = projects
          .slice(0, MOST)
          .map(({ id, name }) =>
            palette.addItem({ command: Commands.project, category, args: { id, name } }),
          );
      },
      () => undefined, // the panel says what is wrong
    );
  };
  onMutation(source, 'projects', read);
  void app.restored.then(read);
}
