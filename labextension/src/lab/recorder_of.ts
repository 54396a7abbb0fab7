// The one recorder of a page, which notes all commands of its source.
import type { ILabShell, JupyterFrontEnd } from '@jupyterlab/application';
import { OpenNotebooks } from './recorded_notebook';
import { ActionRecorder } from './recorder';
import { sourceOf } from './source_of';

const recorders = new WeakMap<object, ActionRecorder>();

export function recorderOf(app: JupyterFrontEnd, labShell: ILabShell | null): ActionRecorder {
  const source = sourceOf(app);
  let recorder = recorders.get(source);
  if (!recorder) {
    const notebooks = new OpenNotebooks(app, labShell !== null);
    labShell?.currentChanged.connect((_, { newValue }) => notebooks.use(newValue));
    const whilePageLives = new AbortController().signal;
    recorder = new ActionRecorder(request => source.query('code', request, whilePageLives), notebooks.pad);
    source.beforeCommand = recorder.before;
    recorders.set(source, recorder);
  }
  return recorder;
}
