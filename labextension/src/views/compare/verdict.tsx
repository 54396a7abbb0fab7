// Whether the second of two runs is better than the first: by their answers to the same images, with the paired test; and
// the images that it fixed and broke.
import type { Comparison, Flips, Run } from '../data/types';
import { useQuery } from '../data/use_query';
import { useOnChange } from '../data/use_runs';
import { pText } from '../evaluation/flips';
import { count, percent, plural } from '../ui/format';
import { SingleChangesMenu } from './single_changes_menu';
import '../ui/layout.css';
import './verdict.css';

/** Percentage points, without a sign: 0.014 -> 1.4. */
export const points = (fraction: number): string => (Math.abs(fraction) * 100).toFixed(1);
const signed = (fraction: number): string =>
  `${fraction < 0 && Number(points(fraction)) !== 0 ? '−' : ''}${points(fraction)}`;

/** What the table of flips says, in a sentence. The interval decides whether one is better. */
type Difference = Pick<Flips, 'difference' | 'difference_low' | 'difference_high'>;

export function verdictText({ difference, difference_low: low, difference_high: high }: Difference): string {
  if (low > 0) return `B is better by ${points(difference)} points`;
  if (high < 0) return `A is better by ${points(difference)} points`;
  return Number(points(difference)) === 0
    ? 'No difference is seen'
    : `${difference > 0 ? 'B' : 'A'} leads by ${points(difference)} points, which may be chance`;
}

/** The interval of the lead that the sentence states, whoever has it. */
export function intervalText({ difference, difference_low: low, difference_high: high }: Difference): string {
  const leadsA = difference < 0 && Number(points(difference)) !== 0;
  const [from, to] = leadsA ? [-high, -low] : [low, high];
  return `95 % interval ${signed(from)} to ${signed(to)}`;
}

const WORDS = [
  'Nothing',
  'One thing',
  'Two things',
  'Three things',
  'Four things',
  'Five things',
  'Six things',
];

export function causeText(differences: number, better: boolean): string {
  if (differences === 0) return 'Nothing that is recorded differs: this is what two equal runs differ by.';
  const many = WORDS[differences] ?? `${count(differences)} things`;
  if (differences === 1) return `${many} differs between them.`;
  return better
    ? `${many} differ, so the gain cannot be put down to any one of them.`
    : `${many} differ between them.`;
}

const [WIDTH, HEIGHT, EDGE] = [230, 46, 18];

/** The difference and its interval on an axis of percentage points, with zero. */
function Interval({ difference, difference_low: low, difference_high: high }: Difference) {
  const ends = [Math.min(0, low), Math.max(0, high)] as const;
  const span = ends[1] - ends[0] || 0.01;
  const x = (value: number) => EDGE + ((value - ends[0]) / span) * (WIDTH - 2 * EDGE);
  const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5].find(each => span / each <= 4) ?? 1;
  const first = Math.ceil(ends[0] / step - 1e-9);
  const ticks = Array.from(
    { length: Math.floor(ends[1] / step + 1e-9) - first + 1 },
    (_, i) => (first + i) * step,
  );
  const label = (value: number) => {
    const shown = Number((value * 100).toFixed(1));
    return shown > 0 ? `+${shown}` : String(shown).replace('-', '−');
  };
  return (
    <svg
      className="imgcls-interval"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      role="img"
      aria-label={`Accuracy of B less that of A: ${signed(difference)} points, 95 % interval ${signed(low)} to ${signed(high)}`}
    >
      <path className="imgcls-interval-axis" d={`M${EDGE},28 H${WIDTH - EDGE}`} />
      {ticks.map(tick => (
        <g key={tick}>
          <path className="imgcls-interval-axis" d={`M${x(tick)},26 v4`} />
          <text x={x(tick)} y={42} textAnchor="middle">
            {label(tick)}
          </text>
        </g>
      ))}
      <path className="imgcls-interval-zero" d={`M${x(0)},4 V28`} />
      <path className="imgcls-interval-bar" d={`M${x(low)},8 v8 m0,-4 H${x(high)} m0,-4 v8`} />
      <circle cx={x(difference)} cy={12} r={4.5} />
    </svg>
  );
}

/** The accuracies that belong to the difference: of the images that both have judged. */
function accuracies(flips: Flips): [number, number] {
  const { both_right, fixed_total, broke_total, images } = flips;
  return [(both_right + broke_total) / images, (both_right + fixed_total) / images];
}

function Sentence({ flips, comparison }: { flips: Flips; comparison: Comparison }) {
  const differences = comparison.differs.length + comparison.unlisted;
  const [before, after] = accuracies(flips);
  const { difference_low: low, difference_high: high } = flips;
  return (
    <section className="imgcls-card imgcls-which" aria-label="Verdict" data-difference={flips.difference}>
      <div>
        <p className="imgcls-which-line">
          <b>{verdictText(flips)}</b>{' '}
          <span>
            ({intervalText(flips)}
            {flips.p_value != null && `, McNemar ${pText(flips.p_value)}`}, {plural(flips.images, 'image')})
          </span>
        </p>
        <div className="imgcls-muted">
          A {percent(before)}, B {percent(after)} right of the same {plural(flips.images, 'image')} of{' '}
          {flips.split}/, each at its best epoch. {causeText(differences, low > 0 || high < 0)}{' '}
          <SingleChangesMenu comparison={comparison} />
        </div>
      </div>
      <Interval {...flips} />
    </section>
  );
}

/** What both runs' answers say; why nothing can be said, where nothing can. */
export function useVerdict(runs: readonly Run[]) {
  const [first, second] = runs;
  const both = runs.length === 2 && first && second && runs.every(run => run.kind === 'train' && run.best);
  const mark = both ? runs.map(run => `${run.best?.epoch}`).join() : '';
  const asked = useQuery('flips', both && mark ? { id: second.id, against: first.id } : null);
  useOnChange(mark || undefined, asked.reload); // one that trains has a new best epoch
  const fits = asked.data?.run_id === second?.id && asked.data?.against === first?.id;
  return { ...asked, data: both && fits ? asked.data : undefined, both: Boolean(both) };
}

interface VerdictProps {
  comparison: Comparison;
  verdict: ReturnType<typeof useVerdict>;
}

export function Verdict({ comparison, verdict: { data, error, loading, both } }: VerdictProps) {
  if (data) return <Sentence flips={data} comparison={comparison} />;
  const reason = !both
    ? 'Both runs must have an evaluation before it can be said which one is better.'
    : error
      ? `It cannot be said which one is better: ${error}`
      : loading
        ? 'Comparing their answers, image by image…'
        : null;
  return reason && <p className="imgcls-card imgcls-muted">{reason}</p>;
}
