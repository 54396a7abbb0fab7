// `npm run build` and `build:prod`: types and modules by tsc, the Lab extension by jupyter-builder, the notebook
// widget by esbuild. Output: lib/, ../imgcls_lab/labextension/ and ../imgcls_lab/widgets/static/.
import { execFileSync } from 'node:child_process';
import { cpSync, rmSync, statSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';

const development = process.argv.includes('--development');
const env = {
  ...process.env,
  PATH: [resolve('node_modules/.bin'), process.env.PATH, resolve('../.venv/bin')].join(delimiter),
};
const run = (command, ...args) => execFileSync(command, args, { stdio: 'inherit', env });

rmSync('lib', { recursive: true, force: true }); // a module that was renamed would stay there under its old name
run('tsc');
// each view imports the style sheet beside it
const isStyle = path => statSync(path).isDirectory() || path.endsWith('.css');
cpSync('src', 'lib', { recursive: true, filter: isStyle });
run('jupyter-builder', 'build', ...(development ? ['--development', 'True'] : []), '.');
run(process.execPath, 'tools/widget.mjs', ...(development ? ['--development'] : []));
