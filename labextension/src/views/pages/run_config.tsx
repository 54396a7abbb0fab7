// The tab of a run's config: each setting, and which of them differ from the defaults.
import { useState } from 'react';
import { textOf } from '../forms/config_form';
import { useQuery } from '../data/use_query';
import type { RunDetail } from '../data/types';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/table.css';
import '../ui/toolbar.css';
import './run_config.css';

export function ConfigTab({ run }: { run: RunDetail }) {
  const { data: schema } = useQuery('schema', {});
  const properties = (schema?.json_schema.properties ?? {}) as Record<
    string,
    { title?: string; default?: unknown }
  >;
  const [onlyChanged, setOnlyChanged] = useState(false);
  const rows = Object.entries(run.config).map(([name, value]) => {
    const property = properties[name];
    const differs = property !== undefined && textOf(value) !== textOf(property.default);
    return { name, value, differs, title: property?.title ?? name };
  });
  return (
    <div className="imgcls-stack">
      <div className="imgcls-tools">
        <label>
          <input type="checkbox" checked={onlyChanged} onChange={e => setOnlyChanged(e.target.checked)} />{' '}
          only what differs from the defaults
        </label>
      </div>
      <table className="imgcls-table imgcls-table-text">
        <thead>
          <tr>
            <th>setting</th>
            <th>value</th>
            <th>field</th>
          </tr>
        </thead>
        <tbody>
          {rows
            .filter(row => row.differs || !onlyChanged)
            .map(row => (
              <tr key={row.name}>
                <td>{row.title}</td>
                <td className={row.differs ? 'imgcls-num imgcls-strong' : 'imgcls-num'}>
                  {row.value == null ? '–' : textOf(row.value)}
                </td>
                <td className="imgcls-mono">{row.name}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}
