// What the code of a run has otherwise than that of another one: between the commits of both, and in this package.
import { useState } from 'react';
import type { Comparison } from '../data/types';
import { useQuery } from '../data/use_query';
import { Diff } from '../ui/diff';
import { count, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import '../ui/layout.css';

export function CodeDifference({ id, against }: { id: string; against: string }) {
  const { data, error } = useQuery('codeChanges', { id, against });
  if (!data) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the commits…</p>;
  const { before, after, diff, diff_cut: cut, changed, added, removed, sentence, files } = data;
  return (
    <>
      {sentence && <p className="imgcls-muted">{sentence}</p>}
      {diff !== null && (
        <>
          <p className="imgcls-muted">
            From {before?.slice(0, 7)} to {after?.slice(0, 7)}: {plural(changed, 'file')}, +{count(added)} −
            {count(removed)}
            {cut && ' or more'}. What each had not committed comes on top.
          </p>
          <Diff
            label="Code between the commits"
            none="The files of both commits are the same."
            more={`git diff ${before?.slice(0, 7)} ${after?.slice(0, 7)} prints all.`}
            {...{ diff, cut }}
          />
        </>
      )}
      {files !== null && (
        <p className="imgcls-muted">
          {files.length === 0
            ? 'Both used the same files of imgcls-lab.'
            : `Of imgcls-lab ${plural(files.length, 'file differs', 'files differ')}: ${files.join(', ')}.`}
        </p>
      )}
    </>
  );
}

/** The card of two runs that were started at different commits; git is asked when it is unfolded. */
export function CodeCard({ comparison: { runs, differs } }: { comparison: Comparison }) {
  const [open, setOpen] = useState(false);
  const [first, second] = runs;
  const apart = differs.some(({ part, name }) => part === 'code' && name === 'commit');
  if (!apart || runs.length !== 2) return null;
  return (
    <section className="imgcls-card" aria-label="Code">
      <details onToggle={event => setOpen(event.currentTarget.open)}>
        <summary>Code, from the commit of the first to that of the second</summary>
        <div className="imgcls-stack">{open && <CodeDifference id={second!.id} against={first!.id} />}</div>
      </details>
    </section>
  );
}
