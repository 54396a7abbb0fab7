// What came of an export: where the model lies, on what it was checked, and the lines that load it.
import { isActive, type ExportRequest, type RunDetail } from '../data/types';
import { CopyButton } from '../ui/copy_button';
import { formatNumber, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { PathText } from '../ui/path_text';
import '../ui/messages.css';
import './export_result.css';

export interface ExportTask {
  title: string;
  form: NonNullable<ExportRequest['form']>;
  out: string;
  root: string;
}

/** The export that a task run is; null: it is another task. */
export const exportOf = (run: RunDetail): ExportTask | null => {
  const found = run.payload.export as ExportTask | undefined;
  return found && typeof found.out === 'string' ? found : null;
};

/** The lines of Python that load an export. */
export function loading({ form, out }: Pick<ExportTask, 'form' | 'out'>): string {
  const path = JSON.stringify(out);
  const file = (name: string) => JSON.stringify(`${out}/${name}`);
  switch (form) {
    case 'hf':
      return `from transformers import pipeline\n\nclassify = pipeline("image-classification", model=${path})`;
    case 'onnx':
      return `import onnxruntime\n\nsession = onnxruntime.InferenceSession(${file('model.onnx')})`;
    case 'torch-export':
      return `import torch\n\nmodel = torch.export.load(${file('model.pt2')}).module()`;
  }
}

/** "checked on 32 images: its logits differ from the model's by at most 1.2e-6 (allowed: 0.0012)" */
function checkedText(latest: RunDetail['latest']): string {
  const images = latest['export/images'] ?? 0;
  const abstains = latest['export/abstains'];
  return (
    `Checked on ${plural(images, 'image')}: its logits differ from the model's by at most ` +
    `${formatNumber(latest['export/difference'])} (allowed: ${formatNumber(latest['export/limit'])}).` +
    (abstains == null ? '' : ` It abstains on the same ${plural(abstains, 'image')} as the model.`)
  );
}

export function ExportResult({ run }: { run: RunDetail }) {
  const task = exportOf(run);
  if (!task || isActive(run.state)) return null;
  if (run.state !== 'succeeded')
    return <Problem>{run.message ?? 'The export was stopped; nothing was written.'}</Problem>;
  const lines = loading(task);
  return (
    <div className="imgcls-export-result">
      <p role="status">
        “{task.title}” was written to <PathText path={task.out} />. {checkedText(run.latest)}
      </p>
      <pre className="imgcls-mono" tabIndex={0} role="region" aria-label="How it is loaded">
        {lines}
      </pre>
      <div className="imgcls-buttons">
        <CopyButton text={() => task.out} label="Copy the path" />
        <CopyButton text={() => lines} label="Copy the code" />
      </div>
    </div>
  );
}
