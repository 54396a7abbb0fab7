// The tabs of a run that read: its config and environment beside another run's, its files, its log, its notes, its states.
import { act } from 'react';
import { expect, it, vi } from 'vitest';
import { statesOf } from '../../src/views/data/run_states';
import { SourceProvider } from '../../src/views/data/source';
import type { AuditEvent, RunState } from '../../src/views/data/types';
import { CheckpointsTab, whyKept } from '../../src/views/pages/run_checkpoints';
import { ConfigTab } from '../../src/views/pages/run_config';
import { settingsOf } from '../../src/views/pages/settings_table';
import { EnvironmentTab, differences } from '../../src/views/pages/run_environment';
import { FilesTab } from '../../src/views/pages/run_files';
import { LogTab } from '../../src/views/pages/run_log';
import { NotesTab } from '../../src/views/pages/run_notes';
import { MarkdownProvider, type RenderMarkdown } from '../../src/views/ui/markdown';
import { FakeSource, aRun, aRunDetail } from '../fake';
import { button, host, root, stage } from '../stage';

stage();

const attempt = (number: number, started_at: number, ended_at: number | null, part = {}) => ({
  number,
  started_at,
  ended_at,
  state: 'succeeded' as const,
  host: 'here',
  pid: 1,
  devices: ['cpu:0'],
  resume_step: null,
  exit_code: 0,
  failure: null,
  message: null,
  ...part,
});

const schema = {
  json_schema: {
    properties: {
      lr: { type: 'number', title: 'Learning rate', default: 0.001 },
      epochs: { type: 'integer', title: 'Epochs', default: 10 },
    },
  },
  groups: {},
  start: {},
  start_from: null,
  start_project_id: null,
  defaults: {},
};
const none = { items: [], total: 0, counts: {}, owners: [] };

async function show(
  view: React.ReactNode,
  answers: FakeSource['answers'],
  markdown: RenderMarkdown | null = null,
) {
  const source = new FakeSource({ runs: () => none, schema: () => schema, ...answers });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <MarkdownProvider value={markdown}>{view}</MarkdownProvider>
      </SourceProvider>,
    ),
  );
  return source;
}

const type = (element: HTMLElement, text: string) =>
  act(async () => {
    const kind = element instanceof HTMLSelectElement ? HTMLSelectElement : element instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement; // prettier-ignore
    Object.getOwnPropertyDescriptor(kind.prototype, 'value')!.set!.call(element, text);
    element.dispatchEvent(new Event(kind === HTMLSelectElement ? 'change' : 'input', { bubbles: true }));
  });
const rows = () =>
  [...host.querySelectorAll('tbody tr')].map(row => [...row.children].map(cell => cell.textContent));

it('sets a config against the defaults, and against the parent', async () => {
  const run = aRunDetail({ config: { lr: 0.01, epochs: 10 }, parent_id: 'p1' });
  await show(<ConfigTab run={run} />, {
    run: () => aRunDetail({ id: 'p1', name: 'the parent', config: { lr: 0.01, epochs: 5 } }),
  });
  expect(rows()).toEqual([['Learning rate', '0.01', '0.001', 'lr']]);
  await type(host.querySelector('select')!, 'p1');
  expect(rows()).toEqual([['Epochs', '10', '5', 'epochs']]);
  await act(async () => host.querySelector<HTMLInputElement>('input[type=checkbox]')!.click());
  expect(rows()).toHaveLength(2);
  expect(
    settingsOf(schema as never, { lr: 1 }, { lr: 1, added: 2 }).map(item => [item.name, item.differs]),
  ).toEqual([
    ['lr', false],
    ['added', true],
  ]);
});

it('shows values by the words of the form', () => {
  const properties = {
    load_pretrained: { type: 'boolean', default: true, labels: { false: 'random weights' } },
    image_size: { type: 'integer', default: 224, unit: 'px' },
    ema: { type: 'boolean', default: false },
    revision: { anyOf: [{ type: 'string' }, { type: 'null' }], default: null, labels: { '': 'none' } },
    root: { type: 'string' },
  };
  const config = { load_pretrained: false, image_size: 32, ema: true, revision: null, root: '/data' };
  const found = settingsOf({ json_schema: { properties } } as never, config, null);
  expect(found.map(({ own, other }) => [own, other])).toEqual([
    ['random weights', 'on'],
    ['32 px', '224 px'],
    ['on', 'off'],
    ['none', 'none'],
    ['/data', ''],
  ]);
});

it('says of a run that has ended that it kept none, and promises nothing', async () => {
  const shown = async (state: RunState) => {
    const run = aRunDetail({ state, checkpoints: [], attempts: [] });
    await act(async () =>
      root.render(
        <SourceProvider value={new FakeSource({})}>
          <CheckpointsTab run={run} />
        </SourceProvider>,
      ),
    );
    return host.textContent;
  };
  const waiting = await shown('queued');
  expect(waiting).toContain('No checkpoint yet.');
  expect(waiting).not.toContain('Attempts');
  expect(await shown('failed')).toContain('It kept no checkpoint.');
});

it('shows the changes that were not committed as text, and which packages differ', async () => {
  const manifest = {
    version: '0.1.0',
    python: { version: '3.11.7' },
    packages: { numpy: '2.0', torch: '2.4' },
    git: { commit: 'abc123', diff: 'diff --git a/x b/x\n-<b>old</b>\n+new\n', diff_cut: false },
  };
  const other = { ...manifest, packages: { numpy: '2.1', torch: '2.4' } };
  await show(<EnvironmentTab run={aRunDetail({ parent_id: 'p1' })} />, {
    run: () => aRunDetail({ id: 'p1', name: 'the parent' }),
    verification: () => ({ certificate: null, task: null }),
    manifest: ({ id }) => ({ manifest: id === 'p1' ? other : manifest }),
  });
  const diff = host.querySelector('.imgcls-diff')!;
  expect(diff.querySelector('.imgcls-diff-removed')!.textContent).toBe('-<b>old</b>\n');
  expect(diff.querySelector('b')).toBeNull();
  expect(host.textContent).toContain('abc123');
  await type(host.querySelector('select')!, 'p1');
  expect(host.querySelector('details')!.textContent).toContain('numpy2.02.1');
  expect(host.querySelector('details')!.textContent).not.toContain('torch');
  expect(differences({ a: '1' }, { b: '2' })).toEqual([
    { name: 'a', own: '1', other: '' },
    { name: 'b', own: '', other: '2' },
  ]);
});

it('lists files by kind, and links each by its id', async () => {
  const file = (id: string, name: string, kind: string, size: number) => ({
    id,
    name,
    kind,
    size,
    modified_at: 1,
  });
  const source = new FakeSource({
    runFiles: () => ({
      files: [
        file('aa', 'output.log', 'log', 10),
        file('bb', 'checkpoints/a001/model.safetensors', 'checkpoint', 2000),
      ],
      more: 3,
      size: 2010,
    }),
  });
  Object.assign(source, { fileAddress: (id: string, name: string) => `/api/${id}/${name}` });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <FilesTab run={aRunDetail()} />
      </SourceProvider>,
    ),
  );
  expect([...host.querySelectorAll('a')].map(item => item.getAttribute('href'))).toEqual([
    '/api/r1/bb',
    '/api/r1/aa',
  ]);
  expect(host.querySelector('[role=status]')!.textContent).toBe('2 files, 2.0 kB · 3 more are not listed');
});

it('searches the whole log on the server, and opens the part around a line', async () => {
  vi.useFakeTimers();
  try {
    const source = await show(<LogTab run={aRunDetail()} />, {
      log: ({ offset }: { offset: number }) =>
        offset < 0
          ? { text: 'the end', offset: 90, end: 97, size: 97 }
          : { text: 'one\nä loss of 2\nthree', offset: 0, end: 22, size: 97 },
      logSearch: () => ({
        matches: [{ line: 2, offset: 4, text: 'ä loss of 2' }],
        total: 1,
        searched: 97,
        size: 97,
      }),
    });
    await type(host.querySelector('[type=search]')!, 'LOSS');
    await act(async () => vi.advanceTimersByTimeAsync(400));
    expect(source.asked).toContainEqual(['logSearch', { id: 'r1', q: 'LOSS', node: 0 }]);
    expect(host.querySelector('[role=status]')!.textContent).toBe('1 line holds this text.');
    await act(async () => host.querySelector<HTMLElement>('.imgcls-log-matches button')!.click());
    const part = host.querySelector('pre')!;
    expect([part.getAttribute('aria-label'), part.querySelector('mark')!.textContent]).toEqual([
      'Part of the log',
      'loss',
    ]);
    expect(part.querySelector('[data-here]')!.nextSibling!.textContent).toBe('ä ');
    await act(async () => button('Back to the end of the log').click());
    expect(host.querySelector('pre')!.textContent).toBe('the end');
  } finally {
    vi.useRealTimers();
  }
});

it('lets the host render the notes, shows them as typed without one, and saves what was edited', async () => {
  const render = vi.fn((element: HTMLElement, text: string) => element.replaceChildren(`rendered ${text}`));
  await show(<NotesTab run={aRunDetail({ notes: '# <i>a</i>' })} />, {}, render);
  expect(host.querySelector('.imgcls-notes')!.textContent).toBe('rendered # <i>a</i>');
  await act(async () => root.render(null));
  const source = await show(<NotesTab run={aRunDetail({ notes: '# <i>a</i>' })} />, {
    'runs.edit': () => aRun(),
  });
  expect([host.querySelector('.imgcls-notes')!.textContent, host.querySelector('i')]).toEqual([
    '# <i>a</i>',
    null,
  ]);
  await act(async () => button('Edit').click());
  await type(host.querySelector('textarea')!, 'better');
  await act(async () => button('Save').click());
  expect(source.asked).toContainEqual(['runs.edit', { id: 'r1', edit: { notes: 'better' } }]);
  expect(host.querySelector('textarea')).toBeNull();
});

it('tells the states of a run one after another, with how long each lasted and why', () => {
  const run = aRunDetail({
    created_at: 100,
    state: 'queued',
    message: 'waits for a GPU',
    attempts: [
      attempt(1, 110, 150, { state: 'lost', message: 'its process died' }),
      attempt(2, 155, 200, { state: 'stopped', resume_step: 30 }),
    ],
  });
  const resumed = { action: 'resumed', refused: false, time: 260, text: 'resumed by ada' } as AuditEvent;
  const stays = statesOf(run, [resumed]);
  expect(stays.map(stay => [stay.state, stay.since, stay.until])).toEqual([
    ['queued', 100, 110],
    ['running', 110, 150],
    ['lost', 150, 150],
    ['queued', 150, 155],
    ['running', 155, 200],
    ['stopped', 200, 260],
    ['queued', 260, null],
  ]);
  expect(stays[2]!.reason).toBe('its process died');
  expect(stays[4]!.reason).toContain('from step 30');
  expect(stays[6]!.reason).toBe('waits for a GPU');
  const live = aRunDetail({
    state: 'starting',
    created_at: 100,
    attempts: [attempt(1, 105, null, { state: 'starting' })],
  });
  expect(statesOf(live, []).map(stay => [stay.state, stay.until])).toEqual([
    ['queued', 105],
    ['starting', null],
  ]);
});

it('deletes a checkpoint that nobody needs, says what that freed, and why the others stay', async () => {
  const checkpoint = (step: number, links: string[]) => ({
    name: `a001-s${step}`, step, epoch: 1, attempt: 1, links, size: 1000, created_at: 1,
  }); // prettier-ignore
  const run = aRunDetail({
    state: 'stopped',
    resumable: true,
    checkpoints: [checkpoint(1, []), checkpoint(2, ['best']), checkpoint(3, ['last'])],
  });
  const source = await show(<CheckpointsTab run={run} />, {
    'checkpoints.delete': () => ({ freed: 1234 }),
    'models.register': () => ({ name: 'a run · best' }),
  });
  const deletes = [...host.querySelectorAll('button')].filter(item => item.textContent === 'Delete…');
  expect(deletes.map(item => [item.disabled, item.title])).toEqual([
    [false, ''],
    [true, 'It holds the best model of the run'],
    [true, 'A resume would go on from it'],
  ]);
  await act(async () => deletes[0]!.click());
  await act(async () => button('Delete').click());
  expect(source.asked).toContainEqual(['checkpoints.delete', { id: 'r1', name: 'a001-s1' }]);
  expect(host.querySelector('[role=status]')!.textContent).toContain('1.2 kB are free again');
  expect(rows().map(([name]) => name)).toEqual(['a001-s2', 'a001-s3']);
  await act(async () => button('Make a model').click());
  const [, sent] = source.asked.find(([name]) => name === 'models.register')!;
  expect(sent).toEqual({ run_id: 'r1', checkpoint: 'a001-s2' });
  expect(whyKept(aRunDetail({ state: 'running' }), run.checkpoints[0]!)).toContain('stop it');
});
