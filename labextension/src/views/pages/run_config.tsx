// The tab of a run's config: each setting beside the defaults, the parent or any other run.
import { useState } from 'react';
import { useQuery } from '../data/use_query';
import type { RunDetail } from '../data/types';
import { Button } from '../ui/button';
import { CopyButton } from '../ui/copy_button';
import { plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { OtherRun } from './other_run';
import { ChangesTable } from './run_changes';
import { Settings, settingsOf } from './settings_table';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './run_config.css';

const DEFAULTS = 'default';

export function ConfigTab({ run }: { run: RunDetail }) {
  const navigate = useNavigate();
  const { data: schema, error } = useQuery('schema', {});
  const [against, setAgainst] = useState('');
  const [onlyChanged, setOnlyChanged] = useState(true);
  const { data: other, error: unread } = useQuery('run', against ? { id: against } : null);
  if (!schema)
    return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the settings…</p>;
  const compared = against ? (other?.id === against ? other : undefined) : null;
  const rows = compared === undefined ? [] : settingsOf(schema, run.config, compared?.config ?? null);
  const differing = rows.filter(row => row.differs);
  const name = compared ? compared.name : DEFAULTS;
  return (
    <div className="imgcls-stack">
      <div className="imgcls-tools">
        <OtherRun run={run} value={against} onChange={setAgainst} none="the defaults" />
        <label>
          <input type="checkbox" checked={onlyChanged} onChange={e => setOnlyChanged(e.target.checked)} />{' '}
          only what differs
        </label>
        <span className="imgcls-spacer" />
        <CopyButton label="Copy as JSON" text={() => JSON.stringify(run.config, null, 2)} />
        <Button onClick={() => navigate({ view: 'new-run', from: run.id })}>Launch from this…</Button>
      </div>
      <ChangesTable run={run} />
      <Problem>{unread}</Problem>
      {compared !== undefined && (
        <p className="imgcls-muted" role="status">
          {differing.length === 0
            ? `No setting differs from ${compared ? `those of “${name}”` : 'the defaults'}.`
            : `${plural(differing.length, 'setting')} of ${rows.length} ${differing.length === 1 ? 'differs' : 'differ'} from ${compared ? `“${name}”` : 'the defaults'}.`}
        </p>
      )}
      {(onlyChanged ? differing : rows).length > 0 && (
        <Settings rows={onlyChanged ? differing : rows} own="this run" against={name} />
      )}
    </div>
  );
}
