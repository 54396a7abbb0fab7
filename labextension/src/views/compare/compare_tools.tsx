// What holds for all charts of a comparison: groups, which metrics, the axis, the scale, smoothing.
import { useId } from 'react';
import { metricTitle } from '../ui/format';
import { CurveTools, type ChartOptions } from '../ui/chart_tools';
import type { groupings } from './groups';
import '../ui/button.css';
import '../ui/inputs.css';
import '../ui/toolbar.css';
import './compare_tools.css';

interface ToolsProps {
  options: ChartOptions;
  onOptions: (options: ChartOptions) => void;
  groupings: ReturnType<typeof groupings>;
  by: string;
  onGroup: (by: string) => void;
  tags: readonly string[];
  chosen: readonly string[];
  onTags: (tags: readonly string[]) => void;
}

function Metrics({ tags, chosen, onTags }: Pick<ToolsProps, 'tags' | 'chosen' | 'onTags'>) {
  const rest = tags.filter(tag => !chosen.includes(tag));
  return (
    <div className="imgcls-tools" role="group" aria-label="Charts">
      {chosen.map(tag => (
        <span key={tag} className="imgcls-metric-chip">
          {metricTitle(tag)}
          <button
            type="button"
            aria-label={`Remove the chart of ${metricTitle(tag)}`}
            title="Remove this chart"
            onClick={() => onTags(chosen.filter(other => other !== tag))}
          >
            ×
          </button>
        </span>
      ))}
      {rest.length > 0 && (
        <select
          className="imgcls-small"
          aria-label="Add a chart"
          value=""
          onChange={e => e.target.value && onTags([...chosen, e.target.value])}
        >
          <option value="">Add a chart…</option>
          {rest.map(tag => (
            <option key={tag} value={tag}>
              {metricTitle(tag)}
            </option>
          ))}
        </select>
      )}
    </div>
  );
}

export function CompareTools(props: ToolsProps) {
  const { options, onOptions, groupings: ways, by, onGroup } = props;
  const id = useId();
  return (
    <div className="imgcls-compare-tools">
      <Metrics {...props} />
      <div className="imgcls-tools">
        <label htmlFor={`${id}-by`}>a line for</label>
        <select
          id={`${id}-by`}
          className="imgcls-small"
          value={by}
          onChange={e => onGroup(e.target.value)}
          disabled={ways.length < 2}
        >
          {ways.map(way => (
            <option key={way.key} value={way.key}>
              {way.title}
            </option>
          ))}
        </select>
        <CurveTools options={options} onChange={onOptions} />
      </div>
    </div>
  );
}
