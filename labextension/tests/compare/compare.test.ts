// What a comparison is made of, without a page: styles, groups, means, brushes, sentences, exports.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { causeText, intervalText, points, verdictText } from '../../src/views/compare/verdict';
import { pText } from '../../src/views/evaluation/flips';
import { csvOf, pythonOf } from '../../src/views/compare/exports';
import { distinct, fieldFact, resultFacts, valueText } from '../../src/views/compare/facts';
import { EACH, REPLICATES, groupings, groupsOf, meanOf } from '../../src/views/compare/groups';
import { STYLES, styleAt } from '../../src/views/compare/line_styles';
import { withModelNames } from '../../src/views/compare/model_names';
import { brushed, dimensionsOf, leftOut } from '../../src/views/compare/parallel';
import { shortNames } from '../../src/views/compare/short_names';
import { sorted } from '../../src/views/compare/run_rows';
import { scaleOf } from '../../src/views/compare/scatter';
import { sameText, warnings } from '../../src/views/compare/differences';
import { firstTags } from '../../src/views/pages/compare';
import { pointsFor, refined } from '../../src/views/data/use_series';
import type { ComparedField, Comparison, Model } from '../../src/views/data/types';
import { SERIES_COLOURS } from '../../src/views/ui/theme';
import { aRun, aSeries } from '../fake';

const field = (name: string, values: ComparedField['values'], part: ComparedField['part'] = 'config') => ({
  ...{ part, name, values },
  title: name === 'lr' ? 'Learning rate' : name,
});

function aComparison(fields: ComparedField[], count = fields[0]?.values.length ?? 2): Comparison {
  const runs = Array.from({ length: count }, (_, i) => aRun({ id: `r${i}`, name: `run ${i}` }));
  return {
    ...{ runs, missing: [], unrecorded: [], differs: fields, same: [], same_settings: 40 },
    ...{ unlisted: 0, other_images: false, sizes: runs.map(() => null), tags: [] },
  };
}
const names = (comparison: Comparison) => comparison.runs.map(run => run.name);

/** The colours of a theme as OKLab, of each palette that the settings offer; the first one is the standard. */
function palettes(dark: boolean): [number, number, number][][] {
  const text = readFileSync('src/views/ui/theme.css', 'utf8');
  const found = [...text.matchAll(/--imgcls-series-(\d+): light-dark\((#\w+), (#\w+)\)/g)];
  const all = found.map(([, number, light, other]) => {
    const [r, g, b] = [1, 3, 5].map(i => {
      const c = parseInt((dark ? other : light)!.slice(i, i + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    }) as [number, number, number];
    const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
    const colour: [number, number, number] = [
      0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
      1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
      0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
    ];
    return { number: Number(number), colour };
  });
  const made: [number, number, number][][] = [];
  for (const { number, colour } of all) {
    if (number === 1) made.push([]);
    made[made.length - 1]!.push(colour);
  }
  return made;
}

describe('lines of many runs', () => {
  it('are told apart up to 100: no two have the same colour and dash', () => {
    const made = Array.from({ length: 100 }, (_, i) => styleAt(i));
    expect(STYLES).toBeGreaterThanOrEqual(100);
    expect(new Set(made.map(style => JSON.stringify(style))).size).toBe(100);
    expect(made.slice(0, SERIES_COLOURS).every(style => style.dash.length === 0)).toBe(true);
  });

  it.each([false, true])('have colours that are apart, dark: %s', dark => {
    const nearest = palettes(dark).map(all => {
      expect(all).toHaveLength(SERIES_COLOURS);
      return Math.min(
        ...all.flatMap((a, i) =>
          all.slice(i + 1).map(b => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])),
        ),
      );
    });
    expect(nearest).toHaveLength(3);
    expect(nearest[0]).toBeGreaterThan(0.085);
    expect(Math.min(...nearest)).toBeGreaterThan(0.04); // the palettes of others are as their authors made them
  });
});

describe('groups', () => {
  const comparison = aComparison([field('lr', [1e-3, 1e-3, 4e-4, 4e-4]), field('seed', [0, 1, 0, 1])]);

  it('are each run, replicates of all but the seed, or the runs of one value', () => {
    expect(groupings(comparison).map(way => way.key)).toEqual([EACH, REPLICATES, 'config/lr', 'config/seed']);
    expect(groupsOf(comparison, EACH, names(comparison)).map(group => group.members)).toEqual([
      [0],
      [1],
      [2],
      [3],
    ]);
    const replicates = groupsOf(comparison, REPLICATES, names(comparison));
    expect(replicates.map(group => [group.title, group.members])).toEqual([
      ['learning rate 0.001', [0, 1]],
      ['learning rate 4e-4', [2, 3]],
    ]);
    expect(replicates[0]!.style).not.toEqual(replicates[1]!.style);
    expect(groupsOf(comparison, 'config/seed', names(comparison)).map(group => group.title)).toEqual([
      'seed 0',
      'seed 1',
    ]);
  });

  it('are drawn as mean, lowest and highest at each x, between the points of each run', () => {
    const mean = meanOf([
      { x: [0, 2, 4], y: [0, 2, 4] },
      { x: [0, 4], y: [2, 6] },
      { x: [0, 2], y: [1, null] },
    ]);
    expect(mean.x).toEqual([0, 2, 4]);
    expect(mean.y).toEqual([1, 3, 5]); // at 2: 2 and 4; at 4 the third has ended
    expect(mean.band).toEqual({ low: [0, 2, 4], high: [2, 4, 6] });
  });
});

describe('what is said', () => {
  it('names two runs of one name apart', () => {
    const found = distinct([
      { id: 'aaa111111', name: 'x' },
      { id: 'bbb222222', name: 'x' },
      { id: 'ccc333333', name: 'y' },
    ]);
    expect(new Set(found.values()).size).toBe(3);
    expect(found.get('ccc333333')).toBe('y');
  });

  it('shows values as the form does, and counts what is the same', () => {
    expect(valueText(field('lr', []), 4e-4)).toBe('4e-4');
    expect(valueText(field('lr', []), 0.007943282347242814)).toBe('0.00794328');
    expect(valueText(field('ema', []), false)).toBe('off');
    const start = { ...field('load_pretrained', []), labels: { false: 'random weights' } };
    expect(valueText(start, false)).toBe('random weights');
    expect(valueText(field('train_images', [], 'data'), 7004)).toBe('7,004');
    expect(valueText(field('revision', [], 'data'), 4)).toBe('v4');
    const comparison = { ...aComparison([field('lr', [1, 2])]), same: [field('seed', [0, 0])] };
    expect(sameText(comparison)).toBe('The same in both: seed 0, 39 other settings.');
    expect(warnings({ ...comparison, other_images: true, unrecorded: ['r1'], unlisted: 2 })).toHaveLength(3);
  });

  it('decides by the interval, and never more exactly than it is known', () => {
    const [difference, difference_low, difference_high] = [0.014, 0.0033, 0.0246];
    expect(verdictText({ difference, difference_low, difference_high })).toBe('B is better by 1.4 points');
    const back = { difference: -0.014, difference_low: -0.0246, difference_high: -0.0033 };
    expect(verdictText(back)).toBe('A is better by 1.4 points');
    expect(intervalText({ difference, difference_low, difference_high })).toBe('95 % interval 0.3 to 2.5');
    expect(intervalText(back)).toBe('95 % interval 0.3 to 2.5');
    expect(intervalText({ ...back, difference_high: 0.002 })).toBe('95 % interval −0.2 to 2.5');
    expect(verdictText({ difference: 0.002, difference_low: -0.01, difference_high: 0.014 })).toMatch(
      /may be chance/,
    );
    expect(verdictText({ difference: 0, difference_low: -0.01, difference_high: 0.01 })).toMatch(
      /No difference/,
    );
    expect([points(-0.014), pText(0.0125), pText(1e-9)]).toEqual(['1.4', 'p = 0.013', 'p < 0.0001']);
    expect(causeText(6, true)).toMatch(/^Six things differ, so the gain/);
    expect(causeText(1, true)).toMatch(/^One thing differs/);
  });

  it('writes a CSV that no spreadsheet executes, and Python that asks for the same', () => {
    const comparison = aComparison([field('lr', [1e-3, 4e-4]), field('note', ['=cmd()', 'a, "b"'])]);
    const csv = csvOf(comparison.runs, comparison.differs.map(fieldFact));
    expect(csv.split('\n')).toEqual([
      'run,name,state,learning rate,note',
      "r0,run 0,running,0.001,'=cmd()",
      'r1,run 1,running,0.0004,"a, ""b"""',
      '',
    ]);
    expect(pythonOf(['a', 'b'])).toBe('import imgcls_lab as lab\n\nlab.compare(["a", "b"])\n');
  });

  it('begins with the validation loss and the metric that the best is kept by', () => {
    const runs = [aRun({ best: { metric: 'macro_f1', value: 0.5, epoch: 1 } })];
    const tags = ['loss/train', 'loss/val', 'lr', 'metric/accuracy', 'metric/macro_f1'];
    expect(firstTags({ runs, tags })).toEqual(['loss/val', 'metric/macro_f1']);
    expect(firstTags({ runs: [aRun()], tags: ['system/ram'] })).toEqual(['system/ram']);
  });
});

describe('tables and plots', () => {
  const comparison = aComparison([
    field('lr', [1e-4, 1e-2, 1e-3, null]),
    field('optimizer', ['sgd', 'adamw', 'sgd', 'sgd']),
  ]);
  const facts = comparison.differs.map(fieldFact);

  it('sort by a fact, with the runs that lack it last in both directions', () => {
    expect(sorted(facts[0], 4, false)).toEqual([0, 2, 1, 3]);
    expect(sorted(facts[0], 4, true)).toEqual([1, 2, 0, 3]);
    expect(sorted(facts[1], 4, false)).toEqual([1, 0, 2, 3]);
  });

  it('brush by numbers and by names; a run without the value lies beside', () => {
    const dimensions = dimensionsOf(facts);
    expect(dimensions.map(each => each.ends)).toEqual([
      ['1e-4', '0.01'],
      ['adamw', 'sgd'],
    ]);
    expect([...leftOut(dimensions, { 'config/lr': [0.4, 1] }, 4)]).toEqual([0, 3]);
    expect([...leftOut(dimensions, { 'config/optimizer': [0, 0.5] }, 4)]).toEqual([0, 2, 3]);
    expect(leftOut(dimensions, {}, 4).size).toBe(0);
  });

  it('move a brush by keys', () => {
    expect(brushed([0, 1], 'ArrowUp', false)).toEqual([0.05, 1]);
    expect(brushed([0.05, 1], 'ArrowDown', false)).toBeNull(); // all of it: no brush
    expect(brushed([0.2, 0.3], 'ArrowDown', true)).toEqual([0.2, 0.25]);
    expect(brushed([0.2, 0.3], 'Escape', false)).toBeNull();
    expect(brushed([0, 1], 'a', false)).toBeUndefined();
  });

  it('scale an axis of a scatter with its ticks inside', () => {
    const log = scaleOf([1e-4, 1e-2], true);
    expect(log.ticks.length).toBeGreaterThan(2);
    expect(log.at(1e-3)).toBeCloseTo(0.5);
    const even = scaleOf([0.91, 0.94], false);
    expect(even.ticks.every(tick => even.at(tick) >= 0 && even.at(tick) <= 1)).toBe(true);
    expect(scaleOf([3, 3], false).at(3)).toBeCloseTo(0.5);
  });

  it('know the results of runs in numbers', () => {
    const runs = [
      aRun({ best: { metric: 'accuracy', value: 0.9, epoch: 2 }, latest: { 'loss/val': 0.3 } }),
      aRun(),
    ];
    const found = new Map(resultFacts({ sizes: [5e6, null] }, runs, 1010).map(fact => [fact.key, fact]));
    expect(found.get('best/accuracy')!.values).toEqual([0.9, null]);
    expect(found.get('last/loss/val')!.values).toEqual([0.3, null]);
    expect(found.get('size')!.show(5e6)).toBe('5.0 MB');
  });
});

describe('points', () => {
  it('are so many that all series together stay bounded', () => {
    expect(pointsFor(1)).toBe(2000);
    expect(pointsFor(100 * 2)).toBe(600);
    expect(pointsFor(100 * 20)).toBe(150);
  });

  it('of a window stand in the place of the thinned ones, and a resume that went back leaves none of them', () => {
    const whole = aSeries('a', [0, 10, 20, 30, 40]);
    const detail = aSeries('a', [10, 15, 20, 25]);
    expect(refined(whole, detail, 'step').x).toEqual([0, 10, 15, 20, 25, 30, 40]);
    expect(refined(aSeries('a', [0, 10, 20]), detail, 'step').x).toEqual([0, 10, 20]);
    expect(refined(whole, undefined, 'step').value).toEqual(whole.value);
  });
});

it('calls a model as it is registered, and by its path only where two would be called the same', () => {
  const [tiny, other] = ['/home/ada/models/tiny-resnet', '/data/tiny-resnet'];
  const registered = [{ flavour: tiny, name: 'tiny' } as Model];
  const of = (values: string[], models = registered) => {
    const comparison = aComparison([field('model_flavour', values)]);
    comparison.runs.forEach((run, place) => (run.model_flavour = values[place]!));
    return withModelNames(comparison, models).differs[0]!.values;
  };
  expect(of([tiny, 'timm/resnet50'])).toEqual(['tiny', 'resnet50']);
  expect(of([tiny, other])).toEqual(['tiny', 'tiny-resnet']);
  expect(of([tiny, other], [])).toEqual([tiny, other]);
  const same = { ...aComparison([]), runs: aComparison([], 2).runs, same: [field('model_flavour', [tiny])] };
  expect(sameText(withModelNames(same, registered))).toContain('model_flavour tiny,');
});

describe('names in the legend', () => {
  type Case = { what: string; most: number; names: string[]; shared: string; short: string[] };
  const cases = JSON.parse(readFileSync('../tests/short_names.json', 'utf8')) as Case[];
  it.each(cases)('are those of the still picture: $what', ({ names: long, most, shared, short }) => {
    expect(shortNames(long, most)).toEqual([shared, short]);
    expect(short.filter(name => [...name].length > most)).toEqual([]);
  });
});
