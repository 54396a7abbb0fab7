// The notebook widget as one file that anywidget can load: the views with Preact in React's place.
// In: src/widget/index.ts and index.css. Out: ../imgcls_lab/widgets/static/widget.js and widget.css.
import { existsSync } from 'node:fs';
import { build } from 'esbuild';

const entry = ['src/widget/index.ts', 'src/widget/index.tsx'].find(path => existsSync(path));
if (entry) {
  const development = process.argv.includes('--development');
  await build({
    entryPoints: {
      widget: entry,
      ...(existsSync('src/widget/index.css') ? { 'widget-style': 'src/widget/index.css' } : {}),
    },
    outdir: '../imgcls_lab/widgets/static',
    bundle: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    minify: !development,
    sourcemap: development ? 'inline' : false,
    legalComments: 'inline',
    alias: {
      react: 'preact/compat',
      'react-dom': 'preact/compat',
      'react-dom/client': 'preact/compat/client',
      'react/jsx-runtime': 'preact/jsx-runtime',
    },
  });
}
