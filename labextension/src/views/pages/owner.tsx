// Whose a run or an entry is, where several people share a database, and why it cannot be changed here.
import type { Run } from '../data/types';
import { useRuns } from '../data/use_runs';
import './run_head.css';

/** A sentence about an entry that its reader may not change. */
export const belongsTo = (owner: string, project?: string): string =>
  `It belongs to ${owner}. Only ${owner}${project ? ` and the members of the project “${project}”` : ''} may change it.`;

/** The owner of a run, where runs have several owners. */
export function OwnerChip({ run }: { run: Run }) {
  const { owners } = useRuns();
  if (!run.owner || (run.may_change && owners.length < 2)) return null;
  return (
    <span
      className="imgcls-chip"
      data-owner={run.owner}
      title={run.may_change ? undefined : belongsTo(run.owner, run.project)}
    >
      of {run.owner}
    </span>
  );
}
