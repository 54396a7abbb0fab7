// The settings of two configs beside each other: of runs, of versions of a saved config, or of one and the defaults.
import { fieldOf, settingText, textOf } from '../forms/config_form';
import type { TrainConfig } from '../data/asked';
import type { SchemaReply } from '../data/types';
import { PathText } from '../ui/path_text';
import '../ui/table.css';
import './run_config.css';

export interface Setting {
  name: string;
  title: string;
  own: string;
  other: string;
  differs: boolean;
}

/** The settings of a config beside those of another one; `other` null: beside the defaults. */
export function settingsOf(
  schema: SchemaReply | undefined,
  config: TrainConfig,
  other: TrainConfig | null,
): Setting[] {
  const properties = (schema?.json_schema.properties ?? {}) as Record<string, Record<string, unknown>>;
  const names = [...new Set([...Object.keys(config), ...Object.keys(other ?? {})])];
  return names.map(name => {
    const field = properties[name] && fieldOf(name, properties[name]);
    const against = other ? other[name] : field?.fallback;
    return {
      name,
      title: field?.title ?? name,
      own: settingText(field, config[name]),
      other: settingText(field, against),
      differs: (other !== null || field !== undefined) && textOf(config[name]) !== textOf(against),
    };
  });
}

/** A value: a path breaks between its parts, so that the other columns stay in sight. */
const Value = ({ text }: { text: string }) => (text.includes('/') ? <PathText path={text} /> : text || '–');

/** `own`, `against`: what the two columns are called. */
export function Settings({ rows, own, against }: { rows: Setting[]; own: string; against: string }) {
  return (
    <table className="imgcls-table imgcls-table-text">
      <thead>
        <tr>
          <th>setting</th>
          <th>{own}</th>
          <th>{against}</th>
          <th>field</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(row => (
          <tr key={row.name}>
            <td>{row.title}</td>
            <td className={row.differs ? 'imgcls-num imgcls-strong' : 'imgcls-num'}>
              <Value text={row.own} />
            </td>
            <td className="imgcls-num imgcls-muted">
              <Value text={row.other} />
            </td>
            <td className="imgcls-mono">{row.name}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
