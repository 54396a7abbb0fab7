// How a data set leaves as a folder of images, with a revision's corrections done: one command.
import { useState } from 'react';
import { Button } from '../ui/button';
import './dataset_export.css';

/** A word of a shell's command. */
const quoted = (text: string): string =>
  /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

export function ExportSentence({ name, revision }: { name: string; revision: number }) {
  const [said, setSaid] = useState('');
  const words = ['imgcls-lab', 'datasets', 'export', name, '--revision', String(revision)];
  const command = [...words, '--out', `${name}-r${revision}`].map(quoted).join(' ');
  const copy = () =>
    navigator.clipboard.writeText(command).then(
      () => setSaid('copied'),
      () => setSaid('the browser does not let this page copy: select the command'),
    );
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
        <Button onClick={() => void copy()}>Copy</Button>
        <span className="imgcls-note" role="status">
          {said}
        </span>
      </div>
    </div>
  );
}
