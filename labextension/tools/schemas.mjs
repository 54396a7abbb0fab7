// `npm run schemas [FILE]`: the TypeScript types of what server and page exchange, from the Pydantic models in imgcls_lab/schemas/.
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { compile } from 'json-schema-to-typescript';

const venv = process.platform === 'win32' ? '../.venv/Scripts/python.exe' : '../.venv/bin/python';
const python = process.env.PYTHON ?? (existsSync(venv) ? venv : 'python');
const schema = JSON.parse(
  execFileSync(python, ['-m', 'imgcls_lab.schemas'], { cwd: '.', env: { ...process.env, PYTHONPATH: '..' } }),
);

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
strip(schema);

const text = await compile(schema, 'WireTypes', {
  additionalProperties: false,
  bannerComment: '// Made by `npm run schemas` from imgcls_lab/schemas/; edit that.',
  style: { printWidth: 110, singleQuote: true },
});
writeFileSync(process.argv[2] ?? 'src/views/data/schemas.ts', text);
