// Each view imports the style sheets of what it shows, and no rule is there for nothing.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { expect, it } from 'vitest';

const SRC = resolve('src');
const ALL = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).map(name => resolve(SRC, name));
const STYLES = [...ALL.filter(path => path.endsWith('.css')), resolve('style/lab.css')];
const MODULES = ALL.filter(path => /\.tsx?$/.test(path));
const EVERYWHERE = [resolve(SRC, 'views/ui/base.css'), resolve('style/lab.css')]; // of each entry, and Lab's own
const HOOKS = new Set(['imgcls-run', 'imgcls-lab-sidebar', 'imgcls-lab']); // names for tests, an id, a command

const textOf = (path: string): string => readFileSync(path, 'utf8').replace(/\/\*[^]*?\*\/|\/\/.*/g, '');
const text = new Map([...STYLES, ...MODULES].map(path => [path, textOf(path)]));
const defined = new Map(
  STYLES.map(path => [
    path,
    new Set([...text.get(path)!.matchAll(/\.(imgcls[\w-]*)/g)].map(([, name]) => name!)),
  ]),
);
/** Class names that a module writes; of those that it composes, such as imgcls-dot-${tone}, how they begin. */
const written = (path: string): Set<string> =>
  new Set(text.get(path)!.match(/(?<=["'`\s])imgcls-[\w-]+(?=["'`\s$])/g) ?? []);

const imported = (path: string): string[] =>
  [...(text.get(path) ?? '').matchAll(/(?:from |import |import\()'(\.[^']+)'/g)].flatMap(([, name]) => {
    const target = resolve(dirname(path), name!);
    return [target, `${target}.ts`, `${target}.tsx`].filter(other => text.has(other));
  });

/** What `:is(a, b) c` stands for: `a c` and `b c`. */
const spelledOut = (selector: string): string[] => {
  const found = /:is\(([^()]*)\)/.exec(selector);
  return found
    ? found[1]!.split('|').flatMap(one => spelledOut(selector.replace(found[0], one)))
    : [selector];
};

/** The classes that a sheet defines: those of selectors with no other class. `.a > .b` fits b into a, wherever it is. */
const owned = (path: string): string[] => {
  const selectors = [...text.get(path)!.matchAll(/([^{};]+)\{/g)]
    .map(([, list]) => list!.trim().replace(/\([^()]*\)/g, among => among.replaceAll(',', '|')))
    .filter(list => !list.startsWith('@'));
  const alone = selectors
    .flatMap(list => list.split(','))
    .flatMap(spelledOut)
    .map(selector => new Set(selector.match(/(?<=\.)imgcls-[\w-]+/g)))
    .filter(names => names.size === 1);
  return [...new Set(alone.flatMap(names => [...names]))];
};

/** All that a module imports, and what that imports. */
function reached(path: string, found = new Set<string>()): Set<string> {
  for (const next of imported(path)) {
    if (found.has(next)) continue;
    found.add(next);
    reached(next, found);
  }
  return found;
}

it('finds a rule of each class that a view writes among the style sheets that it imports', () => {
  const missing = MODULES.filter(path => path.endsWith('.tsx')).flatMap(path => {
    const sheets = [...EVERYWHERE, ...reached(path)].flatMap(sheet => [...(defined.get(sheet) ?? [])]);
    return [...written(path)]
      .filter(name => !HOOKS.has(name) && !name.endsWith('-') && !sheets.includes(name))
      .map(name => `${relative(SRC, path)} ${name}`);
  });
  expect(missing).toEqual([]);
});

it('has no class that no view writes', () => {
  const names = MODULES.flatMap(path => [...written(path)]);
  const dead = [...defined].flatMap(([path, classes]) =>
    [...classes]
      .filter(name => name !== 'imgcls')
      .filter(name => !names.some(other => other === name || (other.endsWith('-') && name.startsWith(other))))
      .map(name => `${relative(SRC, path)} ${name}`),
  );
  expect(dead).toEqual([]);
});

it('defines a class in one sheet', () => {
  const sheets = new Map<string, string[]>();
  for (const path of STYLES.filter(each => each.startsWith(SRC)))
    for (const name of owned(path)) sheets.set(name, [...(sheets.get(name) ?? []), relative(SRC, path)]);
  expect(sheets.size).toBeGreaterThan(200);
  expect([...sheets].filter(([, paths]) => paths.length > 1)).toEqual([]);
});

it('takes no style of a page or a form into the widget', () => {
  const sheets = [...reached(resolve(SRC, 'widget/index.tsx'))].filter(path => path.endsWith('.css'));
  expect(sheets.length).toBeGreaterThan(3);
  expect(sheets.filter(path => /views\/(pages|forms)\//.test(path))).toEqual([]);
});

it.each(MODULES.map(path => [relative(SRC, path), path]))(
  '%s cuts no name of a run at its end, where it differs',
  (_, path) => {
    expect(
      text.get(path)!.match(/imgcls-clip"[^<]*(?<!=)\{(run|column|group|parent|child)\.name\}/g) ?? [],
    ).toEqual([]);
  },
);
