// Settings changed while a run trains: what the form sends, when it is offered, and how a change is told.
import { act } from 'react';
import { expect, it } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { RunChange, RunDetail } from '../../src/views/data/types';
import { ChangeForm, factorOf, whyNoChange } from '../../src/views/forms/change_form';
import { changeText, configAfter, marksOf, sinceText } from '../../src/views/ui/run_changes';
import { FakeSource, aRunDetail } from '../fake';
import { host, root, stage } from '../stage';

stage();

const number = (title: string, fallback: number | null) => ({
  title,
  group: 'optimisation',
  default: fallback,
  anyOf: [{ type: 'integer' }, { type: 'null' }],
});
const SCHEMA = {
  json_schema: {
    properties: {
      lr: { type: 'number', title: 'Learning rate', group: 'optimisation', default: 0.1 },
      epochs: { type: 'integer', title: 'Epochs', group: 'optimisation', default: 10 },
      early_stopping_patience: number('Early stopping', null),
      seed: { type: 'integer', title: 'Seed', group: 'optimisation', default: 0 },
    },
  },
  groups: { optimisation: 'Optimisation' },
  defaults: {},
};
const aChange = (part: Partial<RunChange>): RunChange => ({
  number: 1,
  field: 'lr',
  old: 0.1,
  new: 0.03,
  step: 40,
  epoch: 4,
  obeyed_at: 1,
  ...part,
});
const RUN: RunDetail = aRunDetail({ state: 'running', config: { lr: 0.1, epochs: 10, seed: 0 } });

const render = (source: FakeSource, run: RunDetail, onDone = () => undefined) =>
  act(async () =>
    root.render(
      <SourceProvider value={source}>
        <ChangeForm run={run} onDone={onDone} />
      </SourceProvider>,
    ),
  );

const inputOf = (label: string): HTMLInputElement => {
  const found = [...host.querySelectorAll('label')].find(item => item.textContent?.startsWith(label))!;
  return host.querySelector<HTMLInputElement>(`#${found.htmlFor}`)!;
};

const type = (label: string, text: string) =>
  act(async () => {
    const input = inputOf(label);
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(input, text);
    input.dispatchEvent(new Event('input', { bubbles: true }));
  });

const button = () =>
  [...host.querySelectorAll('button')].find(item => /^Change/.test(item.textContent ?? ''))!;

it('sends a factor and what differs, with a key that a second try has, too', async () => {
  const asked: Record<string, unknown>[] = [];
  const source = new FakeSource({
    schema: () => SCHEMA,
    change: args => {
      asked.push(args as Record<string, unknown>);
      if (asked.length === 1) throw new Error('away');
      return RUN;
    },
  });
  let done = 0;
  await render(source, RUN, () => void done++);
  expect(host.textContent).not.toContain('Seed');
  expect(button().disabled).toBe(true);
  await type('Learning rate times', '0.3');
  await type('Epochs', '12');
  expect(host.textContent).toContain('0.1 → 0.03');
  expect(button().textContent).toBe('Change 2 settings');
  await act(async () => button().click());
  await act(async () => button().click());
  expect(asked[1]).toMatchObject({ id: RUN.id, lr_factor: 0.3, fields: { epochs: 12 } });
  expect(asked[1]!.key).toBe(asked[0]!.key);
  expect(done).toBe(1);
});

it('begins with what was asked for before', async () => {
  const run = {
    ...RUN,
    changes: [aChange({ step: null }), aChange({ number: 2, field: 'epochs', old: 10, new: 12 })],
  };
  await render(new FakeSource({ schema: () => SCHEMA }), run);
  expect(host.textContent).toContain('now 0.03');
  expect(inputOf('Epochs').value).toBe('12');
});

it('reads a factor above 0, nothing, or neither', () => {
  expect([' 0.3 ', '', '0', '-1', 'half'].map(factorOf)).toEqual([
    0.3,
    null,
    undefined,
    undefined,
    undefined,
  ]);
});

it('is offered for a run that waits or trains alone, and says why not for others', () => {
  expect(whyNoChange(RUN)).toBeUndefined();
  expect(whyNoChange({ ...RUN, state: 'queued' })).toBeUndefined();
  expect(whyNoChange({ ...RUN, desired_state: 'stop' })).toContain('stopping');
  expect(whyNoChange({ ...RUN, view_only: true })).toContain('Claim');
  for (const state of ['succeeded', 'failed', 'stopped', 'cancelled'] as const)
    expect(whyNoChange({ ...RUN, state })).toContain('ended');
});

it('tells a change, since when it counts, and where it stands on each axis', () => {
  const waits = aChange({
    number: 2,
    field: 'early_stopping_patience',
    old: null,
    new: 5,
    step: null,
    epoch: null,
  });
  expect(changeText(aChange({ new: 2.5e-5 }))).toBe('Learning rate 0.1 → 2.5e-5');
  expect(changeText(waits)).toBe('Early stopping never → 5');
  expect(sinceText(RUN, aChange({}))).toBe('from step 41 on');
  expect(sinceText(RUN, waits)).toBe('at its next step');
  expect(sinceText({ state: 'succeeded' }, waits)).toContain('not obeyed');
  const changes = [aChange({}), waits];
  const xs = (['step', 'epoch', 'time'] as const).map(axis => marksOf(changes, axis, step => step * 2));
  expect(xs.map(marks => marks.map(mark => mark.x))).toEqual([[40], [4], [80]]);
});

it('knows the config at a checkpoint', () => {
  const run = { ...RUN, changes: [aChange({}), aChange({ number: 2, new: 0.01, step: 60 })] };
  expect([40, 41, 61, undefined].map(step => configAfter(run, step).lr)).toEqual([0.1, 0.03, 0.01, 0.01]);
});
