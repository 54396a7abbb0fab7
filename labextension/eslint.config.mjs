import js from '@eslint/js';
import hooks from 'eslint-plugin-react-hooks';
import ts from 'typescript-eslint';

// Views know no host, and the widget knows no Lab: a view must run in a notebook cell of any front end. @lumino/polling
// is a timer and no host.
const HOSTS = [
  '@jupyterlab/*',
  '@lumino/*',
  '!@lumino/polling',
  '@jupyter-widgets/*',
  '**/lab/*',
  '**/widget/*',
];
// A folder of views imports from those below it alone: data < ui < images < evaluation < live, forms
// < runs < pages.
const ABOVE = {
  data: ['ui', 'images', 'evaluation', 'live', 'forms', 'runs', 'pages'],
  ui: ['images', 'evaluation', 'live', 'forms', 'runs', 'pages'],
  images: ['evaluation', 'live', 'forms', 'runs', 'pages'],
  evaluation: ['live', 'forms', 'runs', 'pages'],
  live: ['forms', 'runs', 'pages'],
  forms: ['live', 'runs', 'pages'],
  runs: ['pages'],
  pages: [],
};
const layers = Object.entries(ABOVE).map(([folder, above]) => ({
  files: [`src/views/${folder}/**/*.{ts,tsx}`],
  rules: {
    'no-restricted-imports': [
      'error',
      { patterns: [{ group: HOSTS }, ...above.map(name => ({ group: [`../${name}/*`] }))] },
    ],
  },
}));

export default ts.config(
  { ignores: ['lib', 'node_modules', 'src/views/data/schemas.ts'] },
  js.configs.recommended,
  ...ts.configs.recommended,
  {
    files: ['**/*.{ts,tsx}'],
    plugins: { 'react-hooks': hooks },
    rules: {
      'react-hooks/rules-of-hooks': 'error',
      'react-hooks/exhaustive-deps': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
    },
  },
  ...layers,
  { files: ['tools/**/*.mjs'], languageOptions: { globals: { process: 'readonly', console: 'readonly' } } },
);
