// The same launch as code: only what differs from the defaults, quoted as Python and the shell read it.
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { asPython, asShell, pythonValue, shellWord, type Launch } from '../../src/views/forms/as_code';
import { layoutOf } from '../../src/views/forms/config_form';
import type { SchemaReply } from '../../src/views/data/types';

const item = (title: string, type: string, fallback: unknown) => ({
  ...{ title, type, group: 'data', default: fallback },
});
const layout = layoutOf({
  json_schema: {
    properties: {
      root: item('Data set', 'string', undefined),
      epochs: item('Epochs', 'integer', 10),
      lr: item('Learning rate', 'number', 3e-4),
      compile: item('Compile', 'boolean', false),
      clip: { title: 'Clip', group: 'data', default: 1, anyOf: [{ type: 'number' }, { type: 'null' }] },
      plugins: item('Plugins', 'array', []),
    },
  },
  groups: {},
} as unknown as SchemaReply);
const root = "/data/cats' $HOME";
const launch = (part: Partial<Launch> = {}): Launch => ({
  config: { root, epochs: 10, lr: 0.001, compile: true, clip: null, plugins: '' },
  name: '',
  project: '',
  sweep: null,
  ...part,
});
/** The words that a shell makes of a command. */
const wordsOf = (command: string): string[] =>
  execFileSync('sh', ['-c', `printf '%s\\n' ${command}`], { encoding: 'utf8' })
    .trimEnd()
    .split('\n');

describe('a launch as code', () => {
  it('names what differs from the defaults alone, in Python', () => {
    expect(asPython(layout, launch({ name: 'a “b”' })).split('\n')).toEqual([
      'import imgcls_lab as lab',
      '',
      'config = {',
      `    "root": "/data/cats' $HOME",`,
      '    "lr": 0.001,',
      '    "compile": True,',
      '    "clip": None,',
      '}',
      'run = lab.launch(config, name="a “b”")',
      'run.watch()',
    ]);
  });

  it('is read by a shell word by word', () => {
    const said = [
      '--set',
      `root=${root}`,
      '--set',
      'lr=0.001',
      '--set',
      'compile=true',
      '--set',
      'clip=null',
    ];
    expect(wordsOf(asShell(layout, launch({ project: 'the zoo' })))).toEqual([
      ...['imgcls-lab', 'launch', ...said],
      ...['--project', 'the zoo'],
    ]);
    expect(wordsOf(shellWord('$(echo x); `y` "z"'))).toEqual(['$(echo x); `y` "z"']);
    expect(shellWord('a=1')).toBe('a=1');
  });

  it('is a sweep where there is a space', () => {
    const sweep: Launch['sweep'] = {
      space: { lr: { values: [0.001, 0.01] }, epochs: { low: 1, high: 5, whole: true } },
      strategy: 'tpe',
      metric: 'accuracy',
      pruner: 'median',
      trials: 20,
      epochs: null,
    };
    const python = asPython(layout, launch({ sweep }));
    expect(python).toContain('sweep = lab.sweep(config, {\n    "lr": [0.001, 0.01],\n');
    expect(python).toContain('strategy="tpe", metric="accuracy", pruner="median", budget={"trials": 20})');
    const file = /<<'END'\n([\s\S]*)\nEND\n/.exec(asShell(layout, launch({ sweep })))![1]!;
    expect(JSON.parse(file)).toMatchObject({
      base: { lr: 0.001 },
      space: { lr: [0.001, 0.01] },
      budget: { trials: 20 },
    });
  });

  it('names replicates of a run and of a sweep', () => {
    const run = launch({ replicates: 3 });
    expect(asPython(layout, run)).toContain('runs = lab.launch(config, replicates=3)\nruns');
    expect(asShell(layout, run)).toContain('--replicates 3');
    expect(asShell(layout, launch({ replicates: 1 }))).not.toContain('replicates');
    const sweep: Launch['sweep'] = {
      ...{ space: { lr: { values: [0.001, 0.01] } }, strategy: 'grid', metric: 'accuracy', pruner: null },
      replicates: 5,
    };
    expect(asPython(layout, launch({ sweep }))).toContain('metric="accuracy", replicates=5)');
    const file = /<<'END'\n([\s\S]*)\nEND\n/.exec(asShell(layout, launch({ sweep })))![1]!;
    expect(JSON.parse(file)).toMatchObject({ strategy: 'grid', replicates: 5 });
  });

  it('names the rungs of a sweep by halving', () => {
    const sweep: Launch['sweep'] = {
      ...{ space: { lr: { low: 0.001, high: 0.1 } }, strategy: 'halving', metric: 'accuracy', pruner: null },
      ...{ trials: 27, epochs: null, eta: 3, min_epochs: 2 },
    };
    expect(asPython(layout, launch({ sweep }))).toContain('eta=3, min_epochs=2, budget={"trials": 27})');
    const file = /<<'END'\n([\s\S]*)\nEND\n/.exec(asShell(layout, launch({ sweep })))![1]!;
    expect(JSON.parse(file)).toMatchObject({ strategy: 'halving', eta: 3, min_epochs: 2 });
  });

  it('writes values as Python has them', () => {
    expect(pythonValue([true, null, 'a"b', { x: 1 }])).toBe('[True, None, "a\\"b", {"x": 1}]');
  });
});
