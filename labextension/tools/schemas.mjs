// `npm run schemas [FILE]`: TypeScript types and constants, from the Pydantic models and constants in imgcls_lab/schemas/.
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { compile } from 'json-schema-to-typescript';
import { format, resolveConfig } from 'prettier';

const venv = process.platform === 'win32' ? '../.venv/Scripts/python.exe' : '../.venv/bin/python';
const python = process.env.PYTHON ?? (existsSync(venv) ? venv : 'python');
const exported = execFileSync(python, ['-m', 'imgcls_lab.schemas'], {
  cwd: '.',
  env: { ...process.env, PYTHONPATH: '..' },
  encoding: 'utf8',
});
// A view is a React view here: what Python calls `RunView` is `Run`.
const { types, constants } = JSON.parse(exported.replace(/\b([A-Z]\w+)View\b/g, '$1'));

// A property's title only repeats its name; without it no alias type is made for each. A constant (`kind`, `op`) has
// a default in Python and always travels.
const strip = node => {
  if (Array.isArray(node)) return node.forEach(strip);
  if (node === null || typeof node !== 'object') return;
  for (const [key, value] of Object.entries(node)) {
    if (key === 'properties') {
      for (const property of Object.values(value)) delete property.title;
      const fixed = Object.keys(value).filter(name => 'const' in value[name]);
      node.required = [...new Set([...(node.required ?? []), ...fixed])];
    }
    strip(value);
  }
};
strip(types);

const text = await compile(types, 'WireTypes', {
  additionalProperties: false,
  ignoreMinAndMaxItems: true, // else a list of at most 20 is a union of 21 tuples
  bannerComment: '// Made by `npm run schemas` from imgcls_lab/schemas/; edit that.',
  format: false,
});
const shared = Object.entries(constants).map(
  ([name, value]) => `export const ${name} = ${JSON.stringify(value)} as const;`,
);
const options = { ...(await resolveConfig('package.json')), parser: 'typescript' };
const whole = await format([text, ...shared].join('\n'), options);
writeFileSync(process.argv[2] ?? 'src/views/data/schemas.ts', whole);
