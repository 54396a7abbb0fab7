// How a data set leaves as a folder of images, with a revision's corrections done: one command.
import { CommandSentence } from './command_sentence';

export function ExportSentence({ name, revision }: { name: string; revision: number }) {
  const words = ['imgcls-lab', 'datasets', 'export', name, '--revision', String(revision)];
  return (
    <CommandSentence words={[...words, '--out', `${name}-r${revision}`]}>
      This command writes revision {revision} as a folder of images, with hard links where the disk allows
      them:
    </CommandSentence>
  );
}
