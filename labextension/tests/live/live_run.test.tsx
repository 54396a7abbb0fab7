// A run in a cell: what can be done with it, and the choices of its charts.
import { act } from 'react';
import { expect, it, vi } from 'vitest';
import { LiveRun } from '../../src/views/live/live_run';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import type { RunDetail } from '../../src/views/data/types';
import { FakeSource, aRunDetail, aSeries } from '../fake';
import { button, host, press, root, stage } from '../stage';

stage();

const TAGS = ['loss/train', 'loss/val', 'metric/accuracy', 'metric/macro_f1'];

async function show(part: Partial<RunDetail>, opens = true) {
  const went: Place[] = [];
  const source = new FakeSource({
    run: () => aRunDetail({ series_names: TAGS, ...part }),
    runs: () => ({ items: [], total: 0, counts: {}, owners: [] }),
    series: ({ tags }: { tags: string[] }) => ({
      series: tags.map(tag => aSeries(tag, [1, 2, 3])),
      cursors: {},
    }),
    log: () => ({ text: 'epoch 1\n', offset: 0, end: 8, size: 8 }),
    stop: () => aRunDetail({ desired_state: 'stop' }),
    resume: () => aRunDetail({ state: 'queued' }),
  });
  await act(async () =>
    root.render(
      <NavigationProvider value={place => went.push(place)}>
        <LiveRun source={source} runId="r1" opens={opens} />
      </NavigationProvider>,
    ),
  );
  return { source, went };
}

const choose = (label: string, value: string) =>
  act(async () => {
    const id = [...host.querySelectorAll('label')].find(item => item.textContent === label)!.htmlFor;
    const box = host.querySelector<HTMLSelectElement>(`#${CSS.escape(id)}`)!;
    box.value = value;
    box.dispatchEvent(new Event('change', { bubbles: true }));
  });

it('stops a run that trains, and opens its page', async () => {
  const { source, went } = await show({ state: 'running' });
  await press('Stop');
  expect(source.asked).toContainEqual(['stop', { id: 'r1' }]);
  await press('Open');
  expect(went).toEqual([{ view: 'run', id: 'r1' }]);
});

it('resumes one that was stopped; a host without pages opens none', async () => {
  const { source } = await show({ state: 'stopped', resumable: true }, false);
  expect(button('Open')).toBeUndefined();
  await press('Resume');
  expect(source.asked).toContainEqual(['resume', { id: 'r1' }]);
});

it('changes nothing of a run of somebody else', async () => {
  await show({ state: 'running', may_change: false });
  expect(button('Stop')).toBeUndefined();
});

it('draws the metric that is chosen over the axis that is chosen', async () => {
  const { source } = await show({});
  expect(host.querySelector(".imgcls-chart[aria-label='Accuracy']")?.getAttribute('data-points')).toBe('3');
  await choose('metric', 'metric/macro_f1');
  await vi.waitFor(() =>
    expect(host.querySelector(".imgcls-chart[aria-label='Macro F1']")?.getAttribute('data-points')).toBe('3'),
  );
  await choose('over', 'time');
  const asked = source.asked.filter(([kind]) => kind === 'series').map(([, params]) => params);
  expect(asked.at(-1)).toMatchObject({ axis: 'time', tags: ['loss/train', 'loss/val', 'metric/macro_f1'] });
});

it('reads the log when it is unfolded', async () => {
  const { source } = await show({});
  expect(source.asked.some(([kind]) => kind === 'log')).toBe(false);
  await act(async () => {
    const details = host.querySelector<HTMLDetailsElement>('.imgcls-live-log')!;
    details.open = true;
    details.dispatchEvent(new Event('toggle'));
  });
  await vi.waitFor(() => expect(host.querySelector('.imgcls-log')?.textContent).toBe('epoch 1\n'));
});
