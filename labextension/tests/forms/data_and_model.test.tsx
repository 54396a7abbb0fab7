import { act } from 'react';
import { expect, it, vi } from 'vitest';
import { NewRun } from '../../src/views/forms/new_run';
import { SourceProvider } from '../../src/views/data/source';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();

it('offers to register a folder where there is no data set, before it complains', async () => {
  vi.useFakeTimers();
  const field = (title: string, group: string) => ({
    title,
    group,
    type: 'string',
    default: '',
    first: true,
  });
  const source = new FakeSource({
    schema: () => ({
      json_schema: {
        properties: { root: field('Data set', 'data'), model_flavour: field('Model', 'model') },
      },
      groups: ['data', 'model'],
      start: { root: '' },
      start_from: null,
      start_project_id: null,
      defaults: { root: '' },
    }),
    check: () => ({
      problems: [{ field: 'root', message: 'Must not be empty.' }],
      facts: {},
      steps: null,
      lr_curve: null,
    }),
    datasets: () => [],
  });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <NewRun />
      </SourceProvider>,
    ),
  );
  await act(async () => vi.advanceTimersByTimeAsync(1000));
  vi.useRealTimers();
  expect(source.asked.map(([name]) => name)).toContain('check');
  const buttons = [...host.querySelectorAll('button')].map(button => button.textContent);
  expect(buttons).toContain('Register a folder…');
  expect(host.querySelector('.imgcls-field-wrong')).toBeNull();
  expect(host.textContent).toContain('Choose a data set, then launch.');
});
