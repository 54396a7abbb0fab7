// What a command of the shell does, and the command itself, to copy.
import type { ReactNode } from 'react';
import { CopyButton } from '../ui/copy_button';
import './command_sentence.css';

/** A word of a shell's command. */
const quoted = (text: string): string =>
  /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/** `words`: of the command, each as it is meant. */
export function CommandSentence({ words, children }: { words: readonly string[]; children: ReactNode }) {
  const command = words.map(quoted).join(' ');
  return (
    <div className="imgcls-export">
      <p className="imgcls-note">{children}</p>
      <div className="imgcls-buttons">
        <code className="imgcls-mono" tabIndex={0}>
          {command}
        </code>
        <CopyButton text={() => command} />
      </div>
    </div>
  );
}
