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
  [...(text.get(path) ?? '').matchAll(/(?:from|import) '(\.[^']+)'/g)].flatMap(([, name]) => {
    const target = resolve(dirname(path), name!);
    return [target, `${target}.ts`, `${target}.tsx`].filter(other => text.has(other));
  });

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

it('takes no style of a page or a form into the widget', () => {
  const sheets = [...reached(resolve(SRC, 'widget/index.tsx'))].filter(path => path.endsWith('.css'));
  expect(sheets.length).toBeGreaterThan(3);
  expect(sheets.filter(path => /views\/(pages|forms)\//.test(path))).toEqual([]);
});
