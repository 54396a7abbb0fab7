// The notebook widget as one file that anywidget can load: the views that it shows, with Preact in React's place, and
// their styles. In: src/widget/index.tsx. Out: ../imgcls_lab/widgets/static/widget.js and widget.css.
import { build } from 'esbuild';

const development = process.argv.includes('--development');
await build({
  entryPoints: { widget: 'src/widget/index.tsx' },
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
