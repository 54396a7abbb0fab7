// `npm run build` and `build:prod`: types and modules by tsc, the Lab extension by jupyter-builder, the notebook
// widget by esbuild. Output: lib/, ../imgcls_lab/labextension/ and ../imgcls_lab/widgets/static/.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';

const development = process.argv.includes('--development');
const bin = process.platform === 'win32' ? '../.venv/Scripts' : '../.venv/bin';
const env = {
  ...process.env,
  PATH: [resolve('node_modules/.bin'), process.env.PATH, resolve(bin)].join(delimiter),
};
const run = (command, ...args) =>
  execFileSync(command, args, { stdio: 'inherit', env, shell: process.platform === 'win32' });

run('tsc');
run('jupyter-builder', 'build', ...(development ? ['--development', 'True'] : []), '.');
if (existsSync('src/widget'))
  run(process.execPath, 'tools/widget.mjs', ...(development ? ['--development'] : []));
