import js from '@eslint/js';
import hooks from 'eslint-plugin-react-hooks';
import ts from 'typescript-eslint';

// Views know no host, and the widget knows no Lab: a view must run in a notebook cell of any front end.
const hostFree = {
  'no-restricted-imports': [
    'error',
    {
      patterns: [{ group: ['@jupyterlab/*', '@lumino/*', '@jupyter-widgets/*', '**/lab/*', '**/widget/*'] }],
    },
  ],
};

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
  { files: ['src/views/**/*.{ts,tsx}'], rules: hostFree },
  { files: ['tools/**/*.mjs'], languageOptions: { globals: { process: 'readonly', console: 'readonly' } } },
);
