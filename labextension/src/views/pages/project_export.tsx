// How a project leaves as one file, and comes into another installation: a command each.
import { CommandSentence } from './command_sentence';
import '../ui/layout.css';

export const ProjectImport = ({ file = 'FILE' }: { file?: string }) => (
  <CommandSentence words={['imgcls-lab', 'projects', 'import', file]}>
    This command imports the file of a project that was exported elsewhere, whole or not at all. Its runs are
    view only until you claim them.
  </CommandSentence>
);

export function ProjectExport({ name }: { name: string }) {
  const file = `${name}.tar`;
  return (
    <div className="imgcls-stack">
      <CommandSentence words={['imgcls-lab', 'projects', 'export', name, file]}>
        This command writes the project into one file: the folders of its runs with their best checkpoints,
        its configs with all versions, and your views of it.
      </CommandSentence>
      <ProjectImport file={file} />
    </div>
  );
}
