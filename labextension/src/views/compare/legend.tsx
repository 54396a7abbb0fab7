// The one legend of a comparison: a key for each run or group. The pointer over it lights the run everywhere; a click
// hides it, a click with Alt leaves it alone.
import type { Run } from '../data/types';
import { metric, plural } from '../ui/format';
import { seriesColour } from '../ui/theme';
import { useIsLit, useLights } from './highlight';
import type { Group } from './groups';
import type { LineStyle } from './line_styles';
import { shortNames } from './short_names';
import '../ui/button.css';
import '../ui/chart.css';
import './legend.css';

/** The line of a run, as the charts draw it. */
export const Key = ({ style }: { style: LineStyle }) => (
  <svg className="imgcls-line-key" width="22" height="8" viewBox="0 0 22 8" aria-hidden="true">
    <line
      x1="0"
      x2="22"
      y1="4"
      y2="4"
      style={{ stroke: seriesColour(style.colour) }}
      strokeDasharray={style.dash.join(' ') || undefined}
    />
  </svg>
);

function Item({ group, name, value, shown, onToggle }: ItemProps) {
  const lit = useIsLit(group.key);
  const lights = useLights(group.key);
  return (
    <li>
      <button
        type="button"
        className="imgcls-legend-item imgcls-compare-item"
        data-lit={lit || undefined}
        aria-pressed={shown}
        title={`${group.title}: click to show or hide it, with Alt to show it alone`}
        onClick={event => onToggle(group.key, event.altKey)}
        {...lights}
      >
        <Key style={group.style} />
        <span>{name}</span>
        <span className="imgcls-num">{value}</span>
      </button>
    </li>
  );
}

interface ItemProps {
  group: Group;
  /** Its title, shortened. */
  name: string;
  value: string;
  shown: boolean;
  onToggle: (key: string, alone: boolean) => void;
}

interface LegendProps {
  groups: readonly Group[];
  runs: readonly Run[];
  hidden: ReadonlySet<string>;
  onHide: (hidden: ReadonlySet<string>) => void;
}

const LETTERS = 36; // of a name

/** What a run or a group came to, in a word. */
function valueOf(group: Group, runs: readonly Run[]): string {
  const members = group.members.map(place => runs[place]!);
  if (members.length > 1) return plural(members.length, 'run');
  const best = members[0]?.best;
  return best ? metric(best.metric, best.value) : '';
}

export function CompareLegend({ groups, runs, hidden, onHide }: LegendProps) {
  const toggle = (key: string, alone: boolean) => {
    if (alone) return onHide(new Set(groups.map(group => group.key).filter(other => other !== key)));
    const next = new Set(hidden);
    if (!next.delete(key)) next.add(key);
    onHide(next);
  };
  const [shared, names] = shortNames(
    groups.map(group => group.title),
    LETTERS,
  );
  return (
    <div className="imgcls-compare-legend" role="group" aria-label="Legend of all charts">
      {shared && <span className="imgcls-clip imgcls-compare-shared">{shared}</span>}
      <ul className="imgcls-legend" tabIndex={groups.length > 24 ? 0 : undefined} aria-label="Lines">
        {groups.map((group, place) => (
          <Item
            key={group.key}
            group={group}
            name={names[place]!}
            value={valueOf(group, runs)}
            shown={!hidden.has(group.key)}
            onToggle={toggle}
          />
        ))}
      </ul>
      {groups.some(group => hidden.has(group.key)) && (
        <button type="button" className="imgcls-plain" onClick={() => onHide(new Set())}>
          Show all
        </button>
      )}
    </div>
  );
}
