// The head of a comparison: which runs, and what can be done with them.
import { useState } from 'react';
import type { Run } from '../data/types';
import { Button } from '../ui/button';
import { metric, plural } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { seriesColour } from '../ui/theme';
import { csvOf, pythonOf } from './exports';
import type { Column } from './differences';
import type { Fact } from './facts';
import { MiddleText } from '../ui/middle_text';
import '../ui/layout.css';
import './compare_head.css';

const bestOf = (run: Run): string => (run.best ? metric(run.best.metric, run.best.value) : run.state);

/** “A name 92.6 % with B name 94.0 %”, where there are two. */
function Pair({ columns }: { columns: readonly Column[] }) {
  return columns.map((column, i) => (
    <span key={column.run.id} className="imgcls-pair">
      {i > 0 && <span className="imgcls-muted">with</span>}
      <b className="imgcls-letter" style={{ borderColor: seriesColour(column.style.colour) }}>
        {'AB'[i]}
      </b>
      <b className="imgcls-clip" title={column.name}>
        <MiddleText text={column.name} />
      </b>
      <span className="imgcls-muted imgcls-num">{bestOf(column.run)}</span>
    </span>
  ));
}

function save(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

interface HeadProps {
  columns: readonly Column[];
  facts: readonly Fact[];
  choosing: boolean;
  onChoosing: (choosing: boolean) => void;
  onSwap: () => void;
}

export function CompareHead({ columns, facts, choosing, onChoosing, onSwap }: HeadProps) {
  const navigate = useNavigate();
  const [copied, setCopied] = useState<string | null>(null);
  const runs = columns.map(column => column.run);
  const ids = runs.map(run => run.id);
  const two = columns.length === 2;
  const copy = () =>
    navigator.clipboard.writeText(pythonOf(ids)).then(
      () => setCopied('Copied'),
      () => setCopied('The browser does not allow it'),
    );
  return (
    <div className="imgcls-page-head imgcls-compare-top">
      <h1>Compare</h1>
      {two ? <Pair columns={columns} /> : <span className="imgcls-muted">{plural(runs.length, 'run')}</span>}
      <span className="imgcls-spacer" />
      <div className="imgcls-buttons">
        {copied && (
          <span className="imgcls-muted" role="status">
            {copied}
          </span>
        )}
        {two && <Button onClick={onSwap}>Swap</Button>}
        <Button
          disabled={ids.length === 0}
          title="The table as CSV"
          onClick={() => save('comparison.csv', csvOf(runs, facts))}
        >
          CSV
        </Button>
        <Button
          disabled={ids.length === 0}
          title="Copy the Python that gives this comparison in a notebook"
          onClick={() => void copy()}
        >
          Copy as Python
        </Button>
        <Button disabled={ids.length === 0} onClick={() => navigate({ view: 'tensorboard', run_ids: ids })}>
          TensorBoard
        </Button>
        <Button aria-expanded={choosing} onClick={() => onChoosing(!choosing)}>
          {choosing ? 'Done choosing' : 'Choose runs…'}
        </Button>
        {two && runs[1]!.kind === 'train' && (
          <Button primary onClick={() => navigate({ view: 'new-run', from: runs[1]!.id })}>
            Clone B…
          </Button>
        )}
      </div>
    </div>
  );
}
