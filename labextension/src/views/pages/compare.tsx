// Up to 100 runs beside each other: which is better, what sets them apart, their curves, and what hangs together.
import { useEffect, useMemo, useState } from 'react';
import { isActive, type Comparison, type Run } from '../data/types';
import { useQuery } from '../data/use_query';
import { useOnChange, useRuns } from '../data/use_runs';
import { BisectionCard } from '../compare/bisection';
import { CodeCard } from '../compare/code_difference';
import { CompareCharts } from '../compare/compare_charts';
import { CompareHead } from '../compare/compare_head';
import { CompareTools } from '../compare/compare_tools';
import { Differences, sameText, warnings, type Column } from '../compare/differences';
import { distinct, fieldFact, resultFacts, type Fact } from '../compare/facts';
import { EACH, groupings, groupsOf, type Group } from '../compare/groups';
import { Highlight, HighlightProvider } from '../compare/highlight';
import { ImageChangesCard } from '../compare/image_changes';
import { CompareLegend } from '../compare/legend';
import { withModelNames } from '../compare/model_names';
import { ParallelRuns, dimensionsOf, leftOut, type Brushes } from '../compare/parallel';
import { RunRows } from '../compare/run_rows';
import { Scatter } from '../compare/scatter';
import { Verdict, useVerdict } from '../compare/verdict';
import { FlipsCard } from '../evaluation/flips';
import { plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNow } from '../ui/use_now';
import { useChartOptions } from '../ui/chart_tools';
import { RunsTable } from './runs_table';
import '../ui/layout.css';

const MOST = 100; // runs, as the server has it
const COLUMNS_UP_TO = 6; // runs that stand side by side; more are rows

/** The runs of a comparison as they are by now, and what follows from them. Asked for again when a run changes state. */
function useCompared(ids: string[]) {
  const { runs: known, deleted } = useRuns();
  const asked = ids.slice(0, MOST);
  const { data, error, loading, reload } = useQuery(
    'comparison',
    asked.length > 0 ? { run_ids: asked } : null,
  );
  const { data: models } = useQuery('models', {});
  const mark = asked.map(id => `${known.get(id)?.state} ${known.get(id)?.attempt} ${deleted.has(id)}`).join();
  useOnChange(mark, reload);
  // the same object as long as none of them has changed: much follows from it
  const stamp = data?.runs.map(run => newer(run, known.get(run.id)).revision).join();
  const comparison: Comparison | undefined = useMemo(
    () =>
      data &&
      withModelNames({ ...data, runs: data.runs.map(run => newer(run, known.get(run.id))) }, models ?? []),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `stamp` is what matters of `known`
    [data, stamp, models],
  );
  return { comparison: asked.length > 0 ? comparison : undefined, error, loading };
}

const newer = (run: Run, seen: Run | undefined): Run => (seen && seen.revision > run.revision ? seen : run);

/** The charts that are there at first: validation loss, and the metric that most runs keep their best by. */
export function firstTags({ tags, runs }: Pick<Comparison, 'tags' | 'runs'>): string[] {
  const watched = runs.map(run => `metric/${run.best?.metric ?? 'accuracy'}`);
  const most = [...new Set(watched)].sort(
    (a, b) => watched.filter(tag => tag === b).length - watched.filter(tag => tag === a).length,
  );
  const found = ['loss/val', most[0] ?? 'metric/accuracy', 'metric/accuracy', 'loss/train'].filter(
    (tag, i, all) => tags.includes(tag) && all.indexOf(tag) === i,
  );
  return found.length > 0 ? found.slice(0, 2) : tags.slice(0, 2);
}

function columnsOf(runs: readonly Run[], names: readonly string[], groups: readonly Group[]): Column[] {
  const of = new Map(groups.flatMap(group => group.members.map(place => [place, group] as const)));
  return runs.map((run, place) => {
    const group = of.get(place)!;
    return { run, name: names[place]!, group: group.key, style: group.style };
  });
}

export function ComparePage({ ids, onChange }: { ids: string[]; onChange: (ids: string[]) => void }) {
  const { comparison, error, loading } = useCompared(ids);
  const [choosing, setChoosing] = useState(ids.length < 2);
  const [highlight] = useState(() => new Highlight());
  const chosen = useMemo(() => new Set(ids), [ids]);
  const choose = (run: Run, on: boolean) => onChange(on ? [...ids, run.id] : ids.filter(id => id !== run.id));
  const missing = comparison?.missing ?? [];
  return (
    <HighlightProvider value={highlight}>
      <div className="imgcls-page" data-compared={comparison?.runs.length ?? 0}>
        <Compared
          comparison={comparison}
          choosing={choosing}
          onChoosing={setChoosing}
          onSwap={() => onChange([...ids].reverse())}
        >
          {choosing && (
            <section className="imgcls-card">
              <RunsTable chosen={chosen} onChoose={choose} />
            </section>
          )}
          <Problem>{error}</Problem>
          {missing.length > 0 && (
            <p className="imgcls-card imgcls-muted" role="status">
              {plural(missing.length, 'run was', 'runs were')} deleted and cannot be compared any more:{' '}
              {missing.join(', ')}.{' '}
              <button
                type="button"
                className="imgcls-plain"
                onClick={() => onChange(ids.filter(id => !missing.includes(id)))}
              >
                Leave out
              </button>
            </p>
          )}
          {ids.length > MOST && (
            <p className="imgcls-card imgcls-muted" role="status">
              At most {MOST} runs can be compared at once: these are the first {MOST} of {ids.length}.
            </p>
          )}
          {loading && !comparison && <p className="imgcls-muted">Reading {plural(ids.length, 'run')}…</p>}
          {ids.length === 0 && !choosing && <p className="imgcls-muted">Choose two runs or more.</p>}
        </Compared>
      </div>
    </HighlightProvider>
  );
}

interface ComparedProps {
  comparison: Comparison | undefined;
  choosing: boolean;
  onChoosing: (choosing: boolean) => void;
  onSwap: () => void;
  children: React.ReactNode;
}

const NOTHING: Comparison = {
  ...{ runs: [], missing: [], unrecorded: [], differs: [], same: [], same_settings: 0, unlisted: 0 },
  ...{ other_images: false, sizes: [], tags: [] },
};

/** The same array as long as it holds the same texts. */
function useStable(texts: string[]): string[] {
  const key = JSON.stringify(texts);
  return useMemo(() => JSON.parse(key) as string[], [key]);
}

/** All facts of the runs: what differs, then what they came to. */
function useFacts(comparison: Comparison): { differing: Fact[]; results: Fact[]; facts: Fact[] } {
  const now = useNow(comparison.runs.some(run => isActive(run.state)));
  return useMemo(() => {
    const differing = comparison.differs.map(fieldFact);
    const results = resultFacts(comparison, comparison.runs, now);
    return { differing, results, facts: [...differing, ...results] };
  }, [comparison, now]);
}

function Compared({ comparison = NOTHING, choosing, onChoosing, onSwap, children }: ComparedProps) {
  const { runs } = comparison;
  const [by, setBy] = useState(EACH);
  const found = distinct(runs);
  const listed = useStable(runs.map(run => found.get(run.id)!));
  const ways = useMemo(() => groupings(comparison), [comparison]);
  const way = ways.some(each => each.key === by) ? by : EACH;
  const { differs } = comparison;
  const groups = useMemo(
    () => groupsOf(comparison, way, listed),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- what groups are made of; a step of a run changes none
    [differs, way, listed],
  );
  const columns = useMemo(() => columnsOf(runs, listed, groups), [runs, listed, groups]);
  const { results, facts } = useFacts(comparison);
  const [brushes, setBrushes] = useState<Brushes>({});
  const dimensions = useMemo(() => dimensionsOf(facts), [facts]);
  const beside = useStable([...leftOut(dimensions, brushes, runs.length)].map(place => runs[place]!.id));
  const left = useMemo(() => new Set(beside), [beside]);
  const verdict = useVerdict(runs);
  const shown = runs.length > 0;
  return (
    <>
      <CompareHead {...{ columns, facts, choosing, onChoosing, onSwap }} />
      <h2 className="imgcls-sr">Differences, curves and plots</h2>
      <div className="imgcls-stack">
        {children}
        {runs.length === 2 && <Verdict comparison={comparison} verdict={verdict} />}
        {warnings(comparison).map(text => (
          <p key={text} className="imgcls-card imgcls-muted" role="note">
            {text}
          </p>
        ))}
        {shown && runs.length <= COLUMNS_UP_TO && <Differences {...{ comparison, columns, results }} />}
        {runs.length > COLUMNS_UP_TO && <RunRows {...{ columns, facts, left }} note={sameText(comparison)} />}
        <CodeCard comparison={comparison} />
        <ImageChangesCard comparison={comparison} />
        <BisectionCard comparison={comparison} />
        {shown && <Charts {...{ comparison, groups, ways, left }} by={way} onGroup={setBy} />}
        {verdict.data && <FlipsCard flips={verdict.data} />}
        {runs.length > 2 && (
          <>
            <ParallelRuns {...{ columns, dimensions, brushes, left }} onBrushes={setBrushes} />
            <Scatter {...{ columns, facts, left }} />
          </>
        )}
      </div>
    </>
  );
}

interface ChartsProps {
  comparison: Comparison;
  groups: readonly Group[];
  ways: ReturnType<typeof groupings>;
  by: string;
  onGroup: (by: string) => void;
  left: ReadonlySet<string>;
}

function Charts({ comparison, groups, ways, by, onGroup, left }: ChartsProps) {
  const { runs, tags } = comparison;
  const [options, setOptions] = useChartOptions();
  const [chosen, setChosen] = useState<readonly string[] | null>(null);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => setHidden(new Set()), [by]);
  const first = useMemo(() => firstTags(comparison), [comparison]);
  const wanted = chosen ?? first;
  const drawn = useMemo(() => wanted, [wanted.join()]); // eslint-disable-line react-hooks/exhaustive-deps -- by content
  if (tags.length === 0) return <p className="imgcls-card imgcls-muted">None of them has a curve yet.</p>;
  return (
    <>
      <CompareTools
        {...{ options, by, onGroup, tags }}
        onOptions={setOptions}
        groupings={ways}
        chosen={drawn}
        onTags={setChosen}
      />
      <CompareLegend {...{ groups, runs, hidden }} onHide={setHidden} />
      <CompareCharts
        {...{ runs, groups, left, options }}
        tags={drawn}
        hidden={hidden}
        active={runs.some(run => isActive(run.state))}
      />
    </>
  );
}
