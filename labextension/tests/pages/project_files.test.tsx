// A project as a file: written with its progress and a button that cancels it, read from a file of this computer.
import { act } from 'react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { Job, Project } from '../../src/views/data/types';
import { ProjectExport } from '../../src/views/pages/project_export';
import { ProjectImport } from '../../src/views/pages/project_import';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import { FakeSource, aJob } from '../fake';
import { button, host, press, root, stage } from '../stage';

stage();
beforeEach(() => void vi.useFakeTimers({ shouldAdvanceTime: true }));
afterEach(() => void vi.useRealTimers());

const pets = { id: 3, name: 'pets', may_change: true } as Project;
const places: Place[] = [];
const nothing = { items: [], total: 0, counts: {}, owners: [] };
const wait = () => act(async () => void (await vi.advanceTimersByTimeAsync(1000)));

async function show(view: React.ReactElement, answers: ConstructorParameters<typeof FakeSource>[0]) {
  places.length = 0;
  const source = new FakeSource({ jobs: () => [], archives: () => [], runs: () => nothing, ...answers });
  const here = Object.assign(source, { archiveAddress: (name: string) => `/archives/${name}` });
  await act(async () =>
    root.render(
      <SourceProvider value={here}>
        <NavigationProvider value={place => void places.push(place)}>{view}</NavigationProvider>
      </SourceProvider>,
    ),
  );
  return source;
}

it('writes a file, says how far it is, and offers it', async () => {
  let job: Job = aJob({ done: 1e6, total: 4e6 });
  const source = await show(<ProjectExport project={pets} />, {
    'projects.export': () => aJob(),
    job: () => job,
  });
  await press('Write the file');
  expect(source.asked).toContainEqual(['projects.export', { id: 3, checkpoints: 'best' }]);
  await wait();
  expect(host.querySelector('[role=progressbar]')!.getAttribute('aria-valuenow')).toBe('25');
  expect(host.textContent).toContain('Writing the file: 1.0 MB of 4.0 MB, 25 %');
  expect(button('Write the file').disabled).toBe(true);
  job = aJob({
    state: 'succeeded',
    exported: {
      path: '/home/exports/pets-1.imgcls.tar',
      project: 'pets',
      runs: 2,
      configs: 1,
      views: 0,
      size: 4e6,
      left_out: ['The run “late” is running: it is left out.'],
    },
  });
  await wait();
  expect(host.querySelector('[role=progressbar]')).toBeNull();
  expect(host.querySelector('a')!.getAttribute('href')).toBe('/archives/pets-1.imgcls.tar');
  expect(host.textContent).toContain('2 runs, 1 config and 0 views in 4.0 MB');
  expect(host.textContent).toContain('“late” is running');
});

it('cancels, and watches what goes on already', async () => {
  let job = aJob({ id: 'before' });
  const source = await show(<ProjectExport project={pets} />, {
    jobs: () => [aJob({ id: 'other', subject: 'birds' }), job],
    job: () => job,
    'jobs.cancel': () => job,
  });
  await press('Cancel');
  expect(source.asked).toContainEqual(['jobs.cancel', { id: 'before' }]);
  job = { ...job, state: 'cancelled', message: 'It was cancelled. Nothing of it is left.' };
  await wait();
  expect(host.textContent).toContain('Nothing of it is left.');
  expect(button('Write the file').disabled).toBe(false);
});

it('sends a file of this computer into a project that is there, and leads to it', async () => {
  const imported = {
    project: 'pets',
    project_id: 3,
    runs: ['a', 'b'],
    configs: ['small'],
    views: [],
    skipped: ['The run “x” (1) is here already.'],
    renamed: [],
  };
  const source = await show(<ProjectImport projects={[pets]} />, {
    'archives.upload': () => ({ name: 'uploaded-pets-1.tar', size: 4, made_at: 0 }),
    'archives.import': () => aJob({ kind: 'import', state: 'succeeded', imported }),
  });
  const into = host.querySelector('select')!;
  await act(async () => {
    into.value = 'pets';
    into.dispatchEvent(new Event('change', { bubbles: true }));
  });
  const input = host.querySelector<HTMLInputElement>('input[type=file]')!;
  const file = new File(['tar'], 'pets.tar');
  Object.defineProperty(input, 'files', { value: [file] });
  await act(async () => void input.dispatchEvent(new Event('change', { bubbles: true })));
  expect(source.asked).toContainEqual(['archives.upload', { name: 'pets.tar', file }]);
  expect(source.asked).toContainEqual(['archives.import', { archive: 'uploaded-pets-1.tar', into: 'pets' }]);
  expect(host.textContent).toContain('2 runs and 1 config came into pets');
  expect(host.textContent).toContain('is here already');
  await press('pets');
  expect(places).toEqual([{ view: 'project', id: 3 }]);
});

it('says how much of a file is sent, and gives it up', async () => {
  let refuse: (reason: Error) => void = () => undefined;
  const source = await show(<ProjectImport projects={[]} />, {
    'archives.upload': () => new Promise<never>((_, reject) => (refuse = reject)),
  });
  const input = host.querySelector<HTMLInputElement>('input[type=file]')!;
  Object.defineProperty(input, 'files', { value: [new File(['x'.repeat(2000)], 'pets.tar')] });
  await act(async () => void input.dispatchEvent(new Event('change', { bubbles: true })));
  const bar = () => host.querySelector('[role=progressbar]');
  expect(host.textContent).toContain('Sending pets.tar: 0 B of 2.0 kB, 0 %');
  await act(async () => source.given.onSent!(860));
  expect(bar()!.getAttribute('aria-valuenow')).toBe('43');
  expect(host.textContent).toContain('Sending pets.tar: 860 B of 2.0 kB, 43 %');
  await press('Cancel');
  expect(source.given.signal!.aborted).toBe(true);
  await act(async () => refuse(new Error('aborted')));
  expect([bar(), host.textContent!.includes('aborted')]).toEqual([null, false]);
  expect(button('Choose a file…').disabled).toBe(false);
});

it('says why a file is refused', async () => {
  await show(<ProjectImport projects={[]} />, {
    archives: () => [{ name: 'pets.tar', size: 4, made_at: 0 }],
    'archives.import': () => aJob({ kind: 'import', state: 'failed', message: 'The archive is refused.' }),
  });
  await press('Import'); // of the form: no path is given, so nothing happens
  await act(async () => host.querySelector<HTMLButtonElement>('tbody button')!.click());
  expect(host.textContent).toContain('The archive is refused.');
});
