// The tab of a run's environment, as its manifest recorded it before the first step: Python, hardware, packages, and the
// git commit with the changes that were not committed. Beside that of another run.
import { useState } from 'react';
import { isActive, type RunDetail } from '../data/types';
import { useQuery } from '../data/use_query';
import { CopyButton } from '../ui/copy_button';
import { Diff, linesOf } from '../ui/diff';
import { bytes, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { CodeDifference } from '../compare/code_difference';
import { OtherRun } from './other_run';
import { Verification } from './verification';
import '../ui/layout.css';
import '../ui/table.css';
import '../ui/toolbar.css';
import './run_environment.css';

type Facts = Record<string, string>;

interface Manifest {
  version?: string;
  device?: string;
  precision?: string;
  threads?: number;
  python?: { version?: string; executable?: string };
  hardware?: Record<string, unknown>;
  packages?: Facts;
  git?: { commit?: string; diff?: string; diff_cut?: boolean } | null;
}

const textOf = (name: string, value: unknown): string =>
  name.endsWith('memory') && typeof value === 'number' ? bytes(value) : String(value);

/** What is known but for the packages, by the words of a table. */
function factsOf(manifest: Manifest | null): Facts {
  const { version, device, precision, threads, python, hardware = {}, git } = manifest ?? {};
  const facts: [string, unknown][] = [
    ['imgcls-lab', version],
    ['Python', python?.version],
    ['interpreter', python?.executable],
    ['device', device],
    ['precision', precision],
    ['threads', threads],
    ...Object.entries(hardware).map(([name, value]): [string, unknown] => [
      name.replaceAll('_', ' '),
      value == null ? value : textOf(name, value),
    ]),
    ['git commit', git?.commit],
    ['uncommitted changes', git && plural(linesOf(git.diff ?? '').length, 'line')],
  ];
  return Object.fromEntries(
    facts.filter(([, value]) => value != null && value !== '').map(([name, value]) => [name, String(value)]),
  );
}

export interface Difference {
  name: string;
  own: string;
  other: string;
}

/** What differs, and what only one of them has. */
export function differences(own: Facts, other: Facts): Difference[] {
  const names = [...new Set([...Object.keys(own), ...Object.keys(other)])];
  return names
    .filter(name => own[name] !== other[name])
    .map(name => ({ name, own: own[name] ?? '', other: other[name] ?? '' }));
}

function Table({ facts, other, name }: { facts: Facts; other: Facts | null; name: string }) {
  const rows = other
    ? differences(facts, other)
    : Object.entries(facts).map(([key, own]) => ({ name: key, own, other: '' }));
  if (rows.length === 0)
    return <p className="imgcls-muted">{other ? 'Nothing differs.' : 'Nothing was recorded.'}</p>;
  return (
    <table className="imgcls-table imgcls-table-text">
      <thead>
        <tr>
          <th>what</th>
          <th>this run</th>
          {other && <th>{name}</th>}
        </tr>
      </thead>
      <tbody>
        {rows.map(row => (
          <tr key={row.name}>
            <td>{row.name}</td>
            <td className="imgcls-num imgcls-environment-value">{row.own || '–'}</td>
            {other && <td className="imgcls-num imgcls-environment-value">{row.other || '–'}</td>}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function EnvironmentTab({ run }: { run: RunDetail }) {
  const [against, setAgainst] = useState('');
  const own = useQuery('manifest', { id: run.id });
  const other = useQuery('run', against ? { id: against } : null);
  const recorded = useQuery('manifest', against ? { id: against } : null);
  const manifest = own.data?.manifest as Manifest | null | undefined;
  if (own.error) return <Problem>{own.error}</Problem>;
  if (manifest === undefined) return <p className="imgcls-muted">Reading what the run recorded…</p>;
  if (!manifest) {
    return (
      <p className="imgcls-muted">
        {isActive(run.state)
          ? 'Nothing was recorded yet: a run records its environment before its first step.'
          : 'Nothing was recorded: it ended before its first step.'}
      </p>
    );
  }
  const chosen = against && other.data?.id === against && recorded.data ? other.data : null;
  const theirs = chosen ? ((recorded.data?.manifest ?? {}) as Manifest) : null;
  const { packages = {}, git } = manifest;
  return (
    <div className="imgcls-stack">
      <div className="imgcls-tools">
        <OtherRun run={run} value={against} onChange={setAgainst} none="no other run" />
        <span className="imgcls-spacer" />
        <CopyButton
          label="Copy as requirements"
          text={() =>
            Object.entries(packages)
              .map(([name, version]) => `${name}==${version}\n`)
              .join('')
          }
        />
      </div>
      <Problem>{other.error ?? recorded.error}</Problem>
      {chosen && !recorded.data?.manifest && (
        <p className="imgcls-note">“{chosen.name}” has recorded nothing.</p>
      )}
      <Table facts={factsOf(manifest)} other={theirs && factsOf(theirs)} name={chosen?.name ?? ''} />
      <details open={theirs !== null}>
        <summary>{theirs ? 'Packages that differ' : plural(Object.keys(packages).length, 'package')}</summary>
        <Table facts={packages} other={theirs && (theirs.packages ?? {})} name={chosen?.name ?? ''} />
      </details>
      {run.kind === 'train' && <Verification run={run} />}
      {chosen && theirs?.git?.commit !== git?.commit && (
        <section className="imgcls-stack" aria-label="Code">
          <h3>Code, from the commit of “{chosen.name}” to that of this run</h3>
          <CodeDifference id={run.id} against={chosen.id} />
        </section>
      )}
      <h3>Uncommitted changes</h3>
      {git ? (
        <Diff
          label="Uncommitted changes"
          diff={git.diff ?? ''}
          none="All files were as committed."
          more={
            git.diff_cut ? 'the run recorded no more of a longer difference.' : 'all are in manifest.json.'
          }
          cut={git.diff_cut === true}
        />
      ) : (
        <p className="imgcls-muted">The run was started outside a git repository.</p>
      )}
    </div>
  );
}
