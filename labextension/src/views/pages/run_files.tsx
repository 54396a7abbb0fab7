// The tab of a run's files: what it has made, with sizes, and a link to download each.
import { useEffect, useState } from 'react';
import { useSource } from '../data/source';
import type { RunDetail, RunFile } from '../data/types';
import { useQuery } from '../data/use_query';
import { bytes, count, moment, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import '../ui/button.css';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/table.css';
import '../ui/toolbar.css';
import './run_files.css';

/** The kinds in the order of the list, as people call them. */
const KINDS: [RunFile['kind'], string][] = [
  ['checkpoint', 'Checkpoints'],
  ['export', 'Exports'],
  ['config', 'Config and manifest'],
  ['log', 'Logs'],
  ['report', 'Evaluations'],
  ['predictions', 'Predictions'],
  ['events', 'Events'],
  ['tensorboard', 'TensorBoard'],
  ['failure', 'Failure'],
  ['other', 'Other'],
];

function Group({ run, title, files }: { run: RunDetail; title: string; files: RunFile[] }) {
  const source = useSource();
  return (
    <tbody>
      <tr className="imgcls-files-kind">
        <th scope="rowgroup">{title}</th>
        <td className="imgcls-nowrap">{bytes(files.reduce((sum, file) => sum + file.size, 0))}</td>
        <td />
        <td />
      </tr>
      {files.map(file => (
        <tr key={file.id}>
          <td className="imgcls-mono imgcls-files-name">{file.name}</td>
          <td className="imgcls-nowrap">{bytes(file.size)}</td>
          <td className="imgcls-nowrap">{moment(file.modified_at)}</td>
          <td>
            {source.fileAddress && (
              <a
                className="imgcls-plain"
                href={source.fileAddress(run.id, file.id)}
                download
                aria-label={`Download ${file.name}`}
              >
                Download
              </a>
            )}
          </td>
        </tr>
      ))}
    </tbody>
  );
}

export function FilesTab({ run }: { run: RunDetail }) {
  const { data, error, reload } = useQuery('runFiles', { id: run.id });
  const [text, setText] = useState('');
  useEffect(reload, [reload, run.state, run.attempt, run.checkpoints.length]);
  if (!data) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the folder…</p>;
  const wanted = text.trim().toLowerCase();
  const shown = data.files.filter(file => file.name.toLowerCase().includes(wanted));
  return (
    <div className="imgcls-stack">
      <div className="imgcls-tools">
        <input
          type="search"
          className="imgcls-files-search"
          aria-label="Find a file by its name"
          placeholder="find a file"
          value={text}
          onChange={event => setText(event.target.value)}
        />
        <span className="imgcls-num" role="status">
          {plural(shown.length, 'file')}, {bytes(shown.reduce((sum, file) => sum + file.size, 0))}
          {data.more > 0 && ` · ${count(data.more)} more are not listed`}
        </span>
      </div>
      <p className="imgcls-note">
        In <code className="imgcls-mono">{run.folder}</code>
      </p>
      {shown.length > 0 && (
        <table className="imgcls-table">
          <thead>
            <tr>
              <th>file</th>
              <th>size</th>
              <th>changed</th>
              <th>
                <span className="imgcls-sr">download</span>
              </th>
            </tr>
          </thead>
          {KINDS.map(([kind, title]) => {
            const files = shown.filter(file => file.kind === kind);
            return files.length > 0 && <Group key={kind} run={run} title={title} files={files} />;
          })}
        </table>
      )}
    </div>
  );
}
