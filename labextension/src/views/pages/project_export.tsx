// How a project leaves as one file, and comes into another installation: two commands.
import { CommandSentence } from './command_sentence';
import '../ui/layout.css';

export function ProjectExport({ name }: { name: string }) {
  const file = `${name}.tar`;
  return (
    <div className="imgcls-stack">
      <CommandSentence words={['imgcls-lab', 'projects', 'export', name, file]}>
        This command writes the project into one file: the folders of its runs with their best checkpoints,
        its configs with all versions, and your views of it.
      </CommandSentence>
      <CommandSentence words={['imgcls-lab', 'projects', 'import', file]}>
        And this one imports the file elsewhere. The runs are view only there until somebody claims them.
      </CommandSentence>
    </div>
  );
}
