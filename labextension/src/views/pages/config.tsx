// The page of a saved config: its versions, and in which settings two of them, or one and the defaults, differ.
import { useEffect, useState } from 'react';
import { mutate } from '../data/mutate';
import { useSource } from '../data/source';
import type { Config, ConfigVersion } from '../data/types';
import { useAction, useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { ConfirmButton } from '../ui/confirm_button';
import { CopyButton } from '../ui/copy_button';
import { ago, moment, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { Gone, Unread, useTitle, type PageProps } from '../ui/page_frame';
import { belongsTo } from './owner';
import { ItemForm } from './registry_item_form';
import type { Item } from './registry_kinds';
import { Settings, settingsOf } from './settings_table';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './config.css';
import './run_head.css';

const DEFAULTS = 'defaults';

function Head({ config, onDeleted }: { config: Config; onDeleted: () => void }) {
  const source = useSource();
  const navigate = useNavigate();
  const { busy, error, act } = useAction();
  const [editing, setEditing] = useState(false);
  const remove = async () => {
    if (await act('delete', () => mutate(source, 'configs.delete', { id: config.id }))) onDeleted();
  };
  return (
    <>
      <div className="imgcls-head">
        <div className="imgcls-head-line">
          <h1 className="imgcls-clip imgcls-head-title">{config.name}</h1>
          <div className="imgcls-buttons">
            <Button primary onClick={() => navigate({ view: 'new-run', config: config.id })}>
              Launch from this…
            </Button>
            {config.may_change && (
              <>
                <Button aria-expanded={editing} onClick={() => setEditing(!editing)}>
                  Edit…
                </Button>
                <ConfirmButton
                  label="Delete…"
                  question="Delete this config with all its versions? Runs keep their own copy."
                  busy={busy === 'delete'}
                  onConfirm={() => void remove()}
                />
              </>
            )}
          </div>
        </div>
        <div className="imgcls-chips">
          <span className="imgcls-chip">config</span>
          <span className="imgcls-chip">version {config.version}</span>
          <span className="imgcls-chip">
            <button
              type="button"
              className="imgcls-plain"
              onClick={() => navigate({ view: 'project', id: config.project_id })}
            >
              {config.project}
            </button>
          </span>
          {config.owner && <span className="imgcls-chip">of {config.owner}</span>}
        </div>
        <Problem>{error}</Problem>
        {!config.may_change && <p className="imgcls-note">{belongsTo(config.owner, config.project)}</p>}
        {config.description && <p className="imgcls-note">{config.description}</p>}
      </div>
      {editing && (
        <div className="imgcls-config-edit">
          <ItemForm
            registry="configs"
            item={config as unknown as Item}
            onDone={() => setEditing(false)}
            onCancel={() => setEditing(false)}
          />
        </div>
      )}
    </>
  );
}

interface ListProps {
  versions: readonly ConfigVersion[];
  open: number;
  onOpen: (number: number) => void;
}

function Versions({ versions, open, onOpen }: ListProps) {
  return (
    <section className="imgcls-card imgcls-config-versions">
      <h3>
        Versions <span className="imgcls-muted">{versions.length}</span>
      </h3>
      <ul>
        {versions.map(({ number, created_at: at, author, changed }) => (
          <li key={number}>
            <button
              type="button"
              aria-pressed={number === open}
              title={changed.join(', ')}
              onClick={() => onOpen(number)}
            >
              <b>Version {number}</b>
              <span className="imgcls-muted" title={moment(at)}>
                {[author, ago(at)].filter(Boolean).join(' · ')}
              </span>
              <span className="imgcls-note">
                {changed.length > 0
                  ? `${plural(changed.length, 'setting')} changed`
                  : number === 1
                    ? 'the first'
                    : 'nothing changed'}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

interface DifferenceProps {
  config: Config;
  versions: readonly ConfigVersion[];
  shown: ConfigVersion;
}

/** A version beside the one before it, any other one or the defaults. */
function Difference({ config, versions, shown }: DifferenceProps) {
  const source = useSource();
  const navigate = useNavigate();
  const { data: schema, error: unread } = useQuery('schema', {});
  const { busy, error, act } = useAction();
  const [chosen, setChosen] = useState('');
  const [onlyChanged, setOnlyChanged] = useState(true);
  if (!schema)
    return unread ? <Problem>{unread}</Problem> : <p className="imgcls-muted">Reading the settings…</p>;
  const others = versions.filter(({ number }) => number !== shown.number);
  const before = others.find(({ number }) => number < shown.number);
  const against =
    chosen === DEFAULTS ? undefined : (others.find(({ number }) => String(number) === chosen) ?? before);
  const rows = settingsOf(schema, shown.config, against?.config ?? null);
  const differing = rows.filter(row => row.differs);
  const other = against ? `version ${against.number}` : 'the defaults';
  const restore = () =>
    act('restore', () => mutate(source, 'configs.restore', { id: config.id, number: shown.number }));
  return (
    <section className="imgcls-stack">
      <div className="imgcls-tools">
        <label>
          Version {shown.number} beside
          <select
            className="imgcls-small"
            aria-label="Beside"
            value={against ? String(against.number) : DEFAULTS}
            onChange={event => setChosen(event.target.value)}
          >
            {others.map(({ number }) => (
              <option key={number} value={number}>
                version {number}
              </option>
            ))}
            <option value={DEFAULTS}>the defaults</option>
          </select>
        </label>
        <label>
          <input type="checkbox" checked={onlyChanged} onChange={e => setOnlyChanged(e.target.checked)} />
          only what differs
        </label>
        <span className="imgcls-spacer" />
        <CopyButton label="Copy as JSON" text={() => JSON.stringify(shown.config, null, 2)} />
        <Button
          onClick={() => navigate({ view: 'new-run', config: config.id, version: shown.number })}
          title={`The form of a new run, filled with version ${shown.number}`}
        >
          Launch version {shown.number}…
        </Button>
        {config.may_change && (
          <Button
            disabled={shown.number === config.version}
            busy={busy !== null}
            title={
              shown.number === config.version
                ? 'It is the newest version already'
                : `Make it the newest: version ${config.version + 1}. Those in between stay.`
            }
            onClick={() => void restore()}
          >
            Restore
          </Button>
        )}
      </div>
      <Problem>{error}</Problem>
      <p className="imgcls-muted" role="status">
        {differing.length === 0
          ? `No setting differs from ${other}.`
          : `${plural(differing.length, 'setting')} of ${rows.length} ${differing.length === 1 ? 'differs' : 'differ'} from ${other}.`}
      </p>
      {(onlyChanged ? differing : rows).length > 0 && (
        <div className="imgcls-scroll">
          <Settings
            rows={onlyChanged ? differing : rows}
            own={`version ${shown.number}`}
            against={against ? other : 'default'}
          />
        </div>
      )}
    </section>
  );
}

export function ConfigPage({ id, onTitle, onClose }: PageProps & { id: number }) {
  const configs = useQuery('configs', {});
  const { data: versions, error, reload } = useQuery('configVersions', { id });
  const [open, setOpen] = useState<number | null>(null);
  const [deleted, setDeleted] = useState(false);
  const config = configs.data?.find(item => item.id === id);
  const newest = config?.version;
  const name = config?.name;
  useEffect(() => setOpen(null), [newest]); // another one was saved: it is what one wants to see
  useTitle(name, onTitle);
  if (deleted || (configs.data && !config))
    return <Gone onClose={onClose}>This config is not there any more: it was deleted.</Gone>;
  const again = () => {
    configs.reload();
    reload();
  };
  if (!config || !versions)
    return <Unread error={configs.error ?? error} reload={again} pending="Reading the config…" />;
  const shown = versions.find(({ number }) => number === open) ?? versions[0];
  return (
    <article className="imgcls-config" data-config={id} data-version={config.version}>
      <Head config={config} onDeleted={() => setDeleted(true)} />
      {shown && (
        <div className="imgcls-config-body">
          <h2 className="imgcls-sr">Versions and their settings</h2>
          <Versions versions={versions} open={shown.number} onOpen={setOpen} />
          <Difference key={shown.number} {...{ config, versions, shown }} />
        </div>
      )}
    </article>
  );
}
