// The plots of a comparison while there is little to draw: of runs that wait, which differ in one setting.
import { act } from 'react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { fieldFact, resultFacts, type Fact } from '../../src/views/compare/facts';
import { EACH, groupsOf } from '../../src/views/compare/groups';
import { ParallelRuns, dimensionsOf } from '../../src/views/compare/parallel';
import { Scatter } from '../../src/views/compare/scatter';
import type { Comparison, Run } from '../../src/views/data/types';
import { aRun } from '../fake';
import { host, root, stage } from '../stage';

stage();

const WIDTH = 600;
beforeEach(() => {
  vi.spyOn(Element.prototype, 'getBoundingClientRect').mockReturnValue({ width: WIDTH } as DOMRect);
});
afterEach(() => vi.restoreAllMocks());

const LR = { part: 'config', name: 'lr', title: 'Learning rate', values: [0.1, 0.01, 0.001] } as const;

function facts(runs: readonly Run[]): Fact[] {
  const differing = { ...LR, values: [...LR.values] };
  return [fieldFact(differing), ...resultFacts({ sizes: runs.map(() => null) }, runs, 2000)];
}

async function show(runs: readonly Run[], shown: readonly Fact[]) {
  const comparison = { runs, differs: [], tags: [] } as unknown as Comparison;
  const names = runs.map(run => run.name);
  const [group] = groupsOf(comparison, EACH, names);
  const columns = runs.map((run, place) => ({
    run,
    name: names[place]!,
    group: run.id,
    style: group!.style,
  }));
  const left = new Set<string>();
  await act(async () =>
    root.render(
      <>
        <ParallelRuns
          {...{ columns, left }}
          dimensions={dimensionsOf(shown)}
          brushes={{}}
          onBrushes={() => undefined}
        />
        <Scatter {...{ columns, left }} facts={shown} />
      </>,
    ),
  );
}

it('are left out where one setting alone differs, and drawn once there are results', async () => {
  const waiting = [0, 1, 2].map(n =>
    aRun({ id: `r${n}`, state: 'queued', started_at: null, running_since: null, epoch: 0 }),
  );
  expect(dimensionsOf(facts(waiting)).length).toBe(1);
  await show(waiting, []);
  expect(host.querySelector('svg')).toBeNull();
  await show(waiting, facts(waiting));
  expect(host.querySelector('[aria-label="Parallel coordinates"]')).toBeNull();
  const trained = waiting.map((run, n) => ({
    ...run,
    ...{
      state: 'succeeded' as const,
      ran: 10 + n,
      best: { metric: 'metric/accuracy', value: 0.5 + n / 10, epoch: 1 },
    },
  }));
  await show(trained, facts(trained));
  const drawn = [...host.querySelectorAll('svg')].map(svg => svg.getAttribute('width'));
  expect(drawn).toEqual([String(WIDTH), String(WIDTH)]);
  expect(host.querySelectorAll('svg circle').length).toBe(3);
});
