import { act } from 'react';
import { expect, it } from 'vitest';
import { TaskTab } from '../../src/views/pages/run_task';
import { SourceProvider } from '../../src/views/data/source';
import type { RunDetail } from '../../src/views/data/types';
import { FakeSource, aRunDetail } from '../fake';
import { host, root, stage } from '../stage';

stage();

const show = (run: Partial<RunDetail>) =>
  act(async () =>
    root.render(
      <SourceProvider value={new FakeSource({ datasets: () => [] })}>
        <TaskTab run={aRunDetail({ kind: 'task', ...run })} />
      </SourceProvider>,
    ),
  );
const exported = { export: { title: 'digits · best', form: 'onnx', out: '/models/production', root: '/d' } };

it('says of an export where the model goes, where it is, or why it was not written', async () => {
  await show({ payload: exported, state: 'running', phase: 'writing and checking the model' });
  expect(host.textContent).toContain('“digits · best” goes to /models/production');
  expect(host.textContent).toContain('writing and checking the model');
  await show({ payload: exported, state: 'succeeded', latest: { 'export/images': 1 } });
  expect(host.textContent).toContain('Checked on 1 image:');
  expect(host.textContent).toContain('InferenceSession("/models/production/model.onnx")');
  await show({ payload: exported, state: 'failed', message: 'Weights have changed since.' });
  expect(host.textContent).toBe('Weights have changed since.');
  await show({ payload: exported, state: 'stopped' });
  expect(host.textContent).toContain('nothing was written');
});

it('says what a speed trial is, and of no other task that it knows it', async () => {
  await show({ payload: { speed_trial: { batch_size: 8 } } });
  expect(host.textContent).toContain('on images of noise');
  await show({ payload: { verify: { run: 'r9', title: 'digits' } } });
  expect(host.textContent).toContain('Steps of digits are computed again');
  await show({ payload: { something: {} } });
  expect(host.textContent).toContain('Another version');
});
