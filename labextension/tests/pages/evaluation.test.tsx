import { act } from 'react';
import { expect, it } from 'vitest';
import { ClassTable } from '../../src/views/pages/class_table';
import { ConfusionMatrix } from '../../src/views/pages/confusion_matrix';
import { Evaluation } from '../../src/views/pages/evaluation';
import { SourceProvider } from '../../src/views/data/source';
import type { EpochReport, Run } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';

const EVIL = '<img src=x onerror="window.hacked = true">';
stage();

it('shows a class name that holds HTML as text', () => {
  const report: EpochReport = {
    epoch: 1,
    step: 1,
    split: 'val',
    images: 2,
    values: {},
    classes: [
      { name: EVIL, images: 1, precision: 1, recall: 1, f1: 1 },
      { name: 'b', images: 1, precision: 0, recall: 0, f1: 0 },
    ],
    confusion: [
      [1, 0],
      [1, 0],
    ],
  };
  act(() =>
    root.render(
      <>
        <ClassTable report={report} />
        <ConfusionMatrix report={report} />
      </>,
    ),
  );
  expect(host.querySelector('img')).toBeNull();
  expect(host.textContent).toContain(EVIL);
});

it('shows the best model on test/ where the run was tested, and what was left out', async () => {
  const report = (split: string, left_out: Record<string, string> = {}, epoch = 2): EpochReport => ({
    epoch,
    step: 1,
    split,
    images: 40,
    values: { 'metric/top3': 0.5, 'metric/calibration_error': 0.125, [`loss/${split}`]: 0.25 },
    classes: [],
    confusion: null,
    left_out,
  });
  const source = new FakeSource({
    report: (params: { split?: string; epoch?: number }) =>
      params.split === 'test'
        ? report('test', { 'test/a.png': 'a.png is no image.' })
        : report('val', {}, params.epoch),
  });
  const draw = async (run: Run) =>
    act(async () => {
      root.render(
        <SourceProvider value={source}>
          <Evaluation run={run} />
        </SourceProvider>,
      );
      await Promise.resolve();
    });
  const best = { metric: 'accuracy', value: 0.5, epoch: 2 };
  await draw(aRun({ latest: { 'metric/accuracy': 0.5 }, best, epoch: 3 }));
  expect(host.querySelector('select')!.selectedOptions[0]!.textContent).toBe('the best, epoch 2, on val/');
  expect(host.textContent).toContain('Per class · val/, epoch 2, the best (checkpoint “best”)');
  expect(host.textContent).toContain('epoch 3, the last, on val/');
  expect(host.textContent).toContain('top-3 accuracy 50.0 %');
  expect(host.textContent).toContain('calibration error 12.5 %');
  expect(host.textContent).not.toContain('on test/');
  await draw(aRun({ latest: { 'metric/accuracy': 0.5, 'test/accuracy': 0.6 }, best, epoch: 3 }));
  const select = host.querySelector('select')!;
  await act(async () => {
    select.value = 'test';
    select.dispatchEvent(new Event('change', { bubbles: true }));
    await Promise.resolve();
  });
  expect(host.textContent).toContain('40 images of test/');
  expect(host.textContent).toContain('test loss 0.25');
  expect(host.textContent).toContain('1 image of test/ could not be read and is left out');
});
