import { act } from 'react';
import { expect, it } from 'vitest';
import { ProjectPage } from '../../src/views/pages/project';
import { SourceProvider } from '../../src/views/data/source';
import type { Project, ProjectDeletion, ProjectDetail } from '../../src/views/data/types';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import { FakeSource, aRun } from '../fake';
import { button, host, press, root, stage } from '../stage';

stage();

const pets: Project = {
  id: 3,
  name: 'pets',
  owner: 'ada',
  description: '',
  created_at: 0,
  runs: 4,
  max_running: 2,
  members: ['bob'],
  may_change: true,
  may_manage: true,
};

const detail = (part: Partial<ProjectDetail> = {}): ProjectDetail => ({
  project: pets,
  states: { succeeded: 2, running: 1 },
  archived: 1,
  size: 2_000_000,
  uncounted: 0,
  metric: 'accuracy',
  best: [aRun({ id: 'b', name: 'the best', best: { metric: 'accuracy', value: 0.943, epoch: 7 } })],
  activity: [
    { day: '2026-01-01', runs: 0 },
    { day: '2026-01-02', runs: 3 },
  ],
  configs: [],
  sweeps: [],
  sweep_count: 0,
  ...part,
});

const nothing = { items: [], total: 0, counts: {}, owners: [] };
const places: Place[] = [];

async function open(source: FakeSource): Promise<void> {
  places.length = 0;
  await act(async () => {
    root.render(
      <SourceProvider value={source}>
        <NavigationProvider value={place => void places.push(place)}>
          <ProjectPage id={3} />
        </NavigationProvider>
      </SourceProvider>,
    );
  });
}

it('shows what is in a project, and leads to its runs', async () => {
  await open(new FakeSource({ project: () => detail(), runs: () => nothing }));
  expect(host.querySelector('h1')!.textContent).toBe('pets');
  expect(host.textContent).toContain('by accuracy');
  expect(host.querySelector('[data-run=b]')!.textContent).toContain('94.3 %');
  expect(host.textContent).toContain('At most 2 of its runs are on devices at once.');
  expect(host.textContent).toContain('bob');
  expect([...host.querySelectorAll('[data-runs]')].map(bar => bar.getAttribute('data-runs'))).toEqual([
    '0',
    '3',
  ]);
  await press('All its runs');
  await press('New run in it…');
  expect(places).toMatchObject([
    { view: 'runs', list: { where: 'project=pets' } },
    { view: 'new-run', project: 3 },
  ]);
});

it('renames a project where its name stands, and keeps what it does not change', async () => {
  const edits: unknown[] = [];
  const source = new FakeSource({
    project: () => detail(),
    runs: () => nothing,
    'projects.edit': (args: unknown) => edits.push(args),
  });
  await open(source);
  await press('pets');
  const input = host.querySelector<HTMLInputElement>('input[aria-label="Name of the project"]')!;
  await act(async () => {
    input.value = 'animals';
    input.dispatchEvent(new FocusEvent('focusout', { bubbles: true }));
  });
  expect(edits).toEqual([{ id: 3, edit: { name: 'animals', description: '', max_running: 2 } }]);
});

it('says what a deletion would take along, and deletes only after that', async () => {
  const told: ProjectDeletion = {
    deleted: false,
    runs: 4,
    configs: 1,
    refused: [],
    freed: 2e6,
    dry_run: true,
  };
  const source = new FakeSource({
    project: () => detail(),
    runs: () => nothing,
    projectDeletion: () => told,
    'projects.deleteAll': () => ({ ...told, deleted: true, dry_run: false }),
  });
  await open(source);
  await press('Delete…');
  expect(host.textContent).toContain('with 4 runs and 1 config');
  expect(source.asked.some(([name]) => name === 'projects.deleteAll')).toBe(false);
  await press('Delete');
  expect(host.textContent).toContain('The project “pets” is not there any more');
});

it('names the runs for which a project cannot be deleted', async () => {
  const message = 'The run “a” is running; stop it before you delete its project.';
  await open(
    new FakeSource({
      project: () => detail(),
      runs: () => nothing,
      projectDeletion: () => ({
        deleted: false,
        runs: 4,
        configs: 0,
        refused: [{ run: 'a', message, reason: 'not_ended' }],
        freed: 0,
        dry_run: true,
      }),
    }),
  );
  await press('Delete…');
  expect(host.textContent).toContain(message);
  expect(button('Delete')).toBeUndefined();
});
