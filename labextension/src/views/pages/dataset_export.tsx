// How a data set leaves as a folder of images, with a revision's corrections done: one command.
import { CopyButton } from '../ui/copy_button';
import './dataset_export.css';

/** A word of a shell's command. */
const quoted = (text: string): string =>
  /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

export function ExportSentence({ name, revision }: { name: string; revision: number }) {
  const words = ['imgcls-lab', 'datasets', 'export', name, '--revision', String(revision)];
  const command = [...words, '--out', `${name}-r${revision}`].map(quoted).join(' ');
  return (
    <div className="imgcls-export">
      <p className="imgcls-note">
        This command writes revision {revision} as a folder of images, with hard links where the disk allows
        them:
      </p>
      <div className="imgcls-buttons">
        <code className="imgcls-mono" tabIndex={0}>
          {command}
        </code>
        <CopyButton text={() => command} />
      </div>
    </div>
  );
}
