// Several people on one database: the column and the filter of owners, the members of a project, a run's history.
import { act } from 'react';
import { expect, it } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { AuditEvent, Project, RunDetail } from '../../src/views/data/types';
import { RegistriesPage } from '../../src/views/pages/registries';
import { HistoryTab } from '../../src/views/pages/run_history';
import { RunsTable } from '../../src/views/pages/runs_table';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';

stage();

const info = () => ({
  version: '1', datasets_dir: '/d', roots: [], home: '/h', user: 'ada', demo_ready: false,
}); // prettier-ignore

async function render(source: FakeSource, view: React.ReactNode) {
  await act(async () => root.render(<SourceProvider value={source}>{view}</SourceProvider>));
}

async function table(owners: string[]) {
  const asked: (string | undefined)[] = [];
  const source = new FakeSource({
    info,
    projects: () => [],
    runColumns: () => ({
      columns: ['state', 'owner', 'model'].map(key => ({ key, label: key, group: 'run', kind: 'text' })),
      groups: { run: 'Run' },
      tags: [],
    }),
    runs: (params: { where?: string }) => {
      asked.push(params.where);
      return { items: [aRun({ owner: 'bob' })], total: 1, counts: {}, owners };
    },
  });
  await render(source, <RunsTable chosen={new Set()} onChoose={() => undefined} />);
  return asked;
}

const press = (text: string) =>
  act(async () =>
    [...host.querySelectorAll('button')]
      .find(item => item.textContent!.trim().replace(' ›', '') === text)
      ?.click(),
  );

it('shows owners where there are several, and asks for those of one', async () => {
  const asked = await table(['ada', 'bob']);
  const titles = [...host.querySelectorAll('[role=columnheader]')].map(item => item.textContent);
  expect(titles).toContain('owner');
  await press('+ filter');
  await press('Owner');
  const boxes = [...host.querySelectorAll<HTMLInputElement>('[role=dialog] input')];
  expect(boxes.map(box => box.parentElement!.textContent)).toEqual(['ada', 'bob']);
  await act(async () => boxes[0]!.click());
  await press('Add filter');
  expect(asked.at(-1)).toBe('owner=ada');
  expect(host.querySelector('[data-term]')!.getAttribute('data-term')).toBe('owner=ada');
});

it('is silent about owners where there is one', async () => {
  await table(['ada']);
  const titles = [...host.querySelectorAll('[role=columnheader]')].map(item => item.textContent);
  expect(titles).not.toContain('owner');
});

it('lets the owner of a project name its members, and nobody else', async () => {
  let project: Project = {
    id: 2, name: 'pets', owner: 'ada', description: '', created_at: 0, max_running: null, runs: 0,
    members: ['carl'], may_change: true, may_manage: true,
  }; // prettier-ignore
  const calls: unknown[] = [];
  const source = new FakeSource({
    info,
    projects: () => [project],
    'projects.join': (args: { user: string }) => {
      calls.push(args);
      return (project = { ...project, members: ['bob', 'carl'] });
    },
  });
  await render(source, <RegistriesPage registry="projects" />);
  expect(host.textContent).toContain('members: carl');
  await press('Members…');
  const input = host.querySelector<HTMLInputElement>('input[name=user]')!;
  await act(async () => {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(input, ' bob ');
    input.dispatchEvent(new Event('input', { bubbles: true }));
  });
  await press('Add');
  expect(calls).toEqual([{ id: 2, user: 'bob' }]);
  expect([...host.querySelectorAll('[data-member]')].map(item => item.getAttribute('data-member'))).toEqual([
    'bob',
    'carl',
  ]);

  project = { ...project, may_change: false, may_manage: false };
  await render(source, <RegistriesPage key="again" registry="projects" />);
  const texts = [...host.querySelectorAll('button')].map(item => item.textContent);
  expect(texts.filter(text => ['Members…', 'Edit…', 'Delete…'].includes(text ?? ''))).toEqual([]);
  expect(host.textContent).toContain('of ada');
});

it('shows who did what beside what the attempts came to, newest first', async () => {
  const event = (id: number, part: Partial<AuditEvent>): AuditEvent => ({
    id, time: id, user: 'ada', host: 'h', way: 'panel', action: 'launched', refused: false, kind: 'run',
    subject_id: 'r1', subject_name: 'a run', project_id: 1, details: {}, text: `event ${id}`, ...part,
  }); // prettier-ignore
  const source = new FakeSource({
    events: () => [
      event(30, { action: 'stopped', refused: true }),
      event(10, { action: 'started', details: { attempt: 1 } }),
      event(5, {}),
    ],
  });
  const attempt = {
    number: 1, state: 'stopped', host: 'h', pid: 1, devices: [], started_at: 10, ended_at: 20,
    resume_step: null, exit_code: 0, failure: null, message: 'Out of time.',
  } as const; // prettier-ignore
  const second = { ...attempt, number: 2, started_at: 40, ended_at: null };
  const run = { ...aRun(), attempts: [attempt, second] } as unknown as RunDetail;
  await render(source, <HistoryTab run={run} />);
  const happened = [...host.querySelectorAll('table')].at(-1)!;
  const lines = [...happened.querySelectorAll('tbody tr')].map(row => row.children[1]?.textContent);
  expect(lines).toEqual([
    'attempt 2 started on h',
    'event 30',
    'attempt 1: stoppedOut of time.',
    'event 10',
    'event 5',
  ]);
  expect(host.querySelectorAll('[data-refused]')).toHaveLength(1);
});
