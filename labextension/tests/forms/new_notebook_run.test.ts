import { describe, expect, it } from 'vitest';
import { unreached, valueOf } from '../../src/views/forms/new_notebook_run';
import type { Parameter } from '../../src/views/data/types';

const parameter = (kind: Parameter['kind'], optional = false): Parameter => ({
  name: 'p',
  kind,
  optional,
  default: null,
  source: 'None',
  help: '',
});

describe('a parameter of a notebook', () => {
  it('takes values of its kind', () => {
    expect(valueOf(parameter('int'), '3')).toEqual({ value: 3 });
    expect(valueOf(parameter('float'), '1e-4')).toEqual({ value: 1e-4 });
    expect(valueOf(parameter('bool'), 'True')).toEqual({ value: true });
    expect(valueOf(parameter('str'), '12')).toEqual({ value: '12' });
    expect(valueOf(parameter('dict'), '{"lr": 1}')).toEqual({ value: { lr: 1 } });
    expect(valueOf(parameter('any'), 'plain words')).toEqual({ value: 'plain words' });
    expect(valueOf(parameter('int', true), 'None')).toEqual({ value: null });
  });

  it('stays the notebook’s where nothing was typed', () => {
    expect(valueOf(parameter('int'), ' ')).toEqual({});
  });

  it('says what it must be', () => {
    expect(valueOf(parameter('int'), '3.5').problem).toBe('This must be a whole number.');
    expect(valueOf(parameter('float'), 'fast').problem).toBe('This must be a number.');
    expect(valueOf(parameter('int'), 'None').problem).toBeDefined();
    expect(valueOf(parameter('list'), '{"a": 1}').problem).toContain('a list');
  });
});

describe('what the parameters cell computes', () => {
  const epochs = { ...parameter('int'), name: 'epochs', default: 3 };
  const derived = [{ name: 'steps', sources: ['epochs'], sentence: 'It uses the default.' }];
  const notebook = { parameters: [epochs], derived };

  it('is said as soon as it would not reach a value that is typed', () => {
    expect(unreached(notebook, { epochs: 7 })).toEqual(['It uses the default.']);
    expect(unreached(notebook, { epochs: 3 })).toEqual([]);
    expect(unreached(notebook, { epochs: 7, steps: 70 })).toEqual([]);
    expect(unreached(notebook, {})).toEqual([]);
  });
});
