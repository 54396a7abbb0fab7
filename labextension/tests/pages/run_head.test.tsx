import { act } from 'react';
import { expect, it, vi } from 'vitest';
import { Head } from '../../src/views/pages/run_head';
import { waitText } from '../../src/views/ui/run_waits';
import { SourceProvider } from '../../src/views/data/source';
import type { RunDetail, Run } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';
import { button, host, root, stage } from '../stage';

stage();

const detailOf = (part: Partial<Run>): RunDetail =>
  ({ ...aRun(part), checkpoints: [] }) as unknown as RunDetail;

const show = async (part: Partial<Run>, owners: string[] = ['ada']) => {
  const source = new FakeSource({
    datasets: () => [],
    runs: () => ({ items: [], total: 0, counts: {}, owners }),
  });
  await act(async () => {
    root.render(
      <SourceProvider value={source}>
        <Head run={detailOf(part)} connection="live" onDeleted={() => undefined} />
      </SourceProvider>,
    );
  });
  return [...host.querySelectorAll('button')].map(button => button.textContent);
};

it('shows no button that the server would refuse, and whose the run is', async () => {
  for (const state of ['queued', 'running', 'stopping', 'failed', 'succeeded'] as const) {
    const texts = await show({ state, may_change: false, resumable: true });
    expect(
      texts.filter(text => /^(Stop|Kill|Cancel|Resume|Start again|Delete|a run)/.test(text ?? '')),
    ).toEqual([]);
    expect(texts).toContain('Clone…');
    const chip = host.querySelector<HTMLElement>('[data-owner]');
    expect([chip?.textContent, chip?.title.includes('ada')]).toEqual(['of ada', true]);
  }
  expect(await show({ state: 'running' })).toContain('Stop');
  expect(host.querySelector('[data-owner]')).toBeNull();
  await show({ state: 'running' }, ['ada', 'bob']);
  expect(host.querySelector('[data-owner]')?.textContent).toBe('of ada');
});

it('offers to resume a run that has a checkpoint, and to start another one again', async () => {
  expect(await show({ state: 'failed', resumable: true })).toContain('Resume');
  const anew = await show({ state: 'failed', resumable: false });
  expect(anew).toContain('Start again');
  expect(anew).not.toContain('Resume');
  expect(
    (await show({ state: 'running' })).filter(text => /^(Resume|Start again)$/.test(text ?? '')),
  ).toEqual([]);
});

it('keeps every button in its place whatever the state, and says why one cannot be pressed', async () => {
  const rest: (string | null)[][] = [];
  for (const state of [
    'queued',
    'starting',
    'running',
    'stopping',
    'failed',
    'stopped',
    'succeeded',
  ] as const) {
    const [name, , ...others] = await show({ state, resumable: state === 'stopped' });
    expect(name).toBe('a run'); // its title; then the one button that changes its state
    rest.push(others);
    for (const button of host.querySelectorAll<HTMLButtonElement>('button:disabled'))
      expect(button.title, `${button.textContent} of a ${state} run`).not.toBe('');
  }
  for (const others of rest) expect(others).toEqual(rest[0]);
  await show({ state: 'succeeded' });
  const resume = [...host.querySelectorAll('button')].find(item => item.textContent === 'Resume')!;
  expect([resume.disabled, resume.title.includes('nothing left to resume')]).toEqual([true, true]);
});

it('says what a run waits for, and for how long', () => {
  const at = (part: Partial<Run>) => waitText(aRun(part) as RunDetail, 1010);
  expect(at({ state: 'queued', queued_at: 950 })).toBe('waits for 60 s');
  expect(at({ state: 'starting', running_since: 1004, phase: 'loading the model' })).toBe(
    'starting for 6 s: loading the model',
  );
  expect(at({ state: 'running', step: 0, running_since: 1000, phase: 'scanning images' })).toBe(
    'scanning images, running for 10 s',
  );
  expect(at({ state: 'stopping' })).toBe('saving a checkpoint');
  expect(at({ state: 'succeeded' })).toBe('');
});

it('shows what a run from elsewhere would execute, and claims exactly that', async () => {
  const claim = {
    run_id: 'r1',
    name: 'from a colleague',
    kind: 'train',
    folder: '/runs/r1',
    python: '/venv/bin/python',
    plugins: [{ path: '/runs/r1/plugins/01-focal.py', sha256: 'abcdef0123456789ff' }],
    notebook: null,
    notebook_folder: '',
    parameters: {},
    root: '/data/digits',
    model_flavour: 'resnet18',
    digest: 'd1',
  };
  const source = new FakeSource({
    datasets: () => [],
    claim: () => claim,
    runs: () => ({ items: [], total: 0, counts: {}, owners: [] }),
  });
  const run = { ...detailOf({ state: 'stopped', resumable: true, view_only: true }), config: {} };
  await act(async () => {
    root.render(
      <SourceProvider value={source}>
        <Head run={run} connection="live" onDeleted={() => undefined} />
      </SourceProvider>,
    );
  });
  expect(host.textContent).toContain('view only');
  expect([button('Resume'), button('Resume with…')?.disabled]).toEqual([undefined, true]);
  expect(button('TensorBoard')?.disabled).toBe(true);
  await act(async () => button('Claim…')?.click());
  const shown = host.querySelector('.imgcls-claim')?.textContent ?? '';
  for (const fact of ['/runs/r1/plugins/01-focal.py', 'abcdef0123456789', '/venv/bin/python', '/data/digits'])
    expect(shown).toContain(fact);
  await act(async () => button('This is mine')?.click());
  expect(source.asked).toContainEqual(['claim', { id: 'r1', digest: 'd1' }]);
});

/** Edit the field of this label, and end with a key. */
async function type(label: string, text: string, key: string): Promise<void> {
  const input = host.querySelector<HTMLInputElement>(`input[aria-label="${label}"]`)!;
  await act(async () => {
    input.value = text;
    input.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  });
}

it('edits tags and name where they stand, and leaves the focus where the edit began', async () => {
  const source = new FakeSource({
    datasets: () => [],
    runs: () => ({ items: [], total: 0, counts: {}, owners: ['ada'] }),
    'runs.edit': () => undefined,
  });
  const draw = (part: Partial<Run>) =>
    act(async () =>
      root.render(
        <SourceProvider value={source}>
          <Head run={detailOf(part)} connection="live" onDeleted={() => undefined} />
        </SourceProvider>,
      ),
    );
  const tags = () => host.querySelector<HTMLButtonElement>('.imgcls-tags')!;
  const edits = () => source.asked.filter(([name]) => name === 'runs.edit').map(([, args]) => args);
  await draw({ tags: [] });
  expect(tags().getAttribute('aria-label')).toBe('Add a tag');
  await act(async () => tags().click());
  await type('Tags of a run', 'good, baseline', 'Enter');
  expect(edits()).toEqual([{ id: 'r1', edit: { tags: ['good', 'baseline'] } }]);
  expect(document.activeElement).toBe(tags());

  await draw({ tags: ['good'] });
  expect([...tags().querySelectorAll('.imgcls-chip')].map(chip => chip.textContent)).toEqual(['good']);
  const title = () => host.querySelector<HTMLButtonElement>('.imgcls-title')!;
  await act(async () => title().click());
  await type('Name of the run', 'another', 'Escape');
  expect([edits().length, document.activeElement === title()]).toEqual([1, true]);

  await draw({ tags: ['good'], may_change: false });
  expect([host.querySelector('.imgcls-tags'), host.textContent?.includes('good')]).toEqual([null, true]);
});

it('puts what is used less into a menu where there is no room, which ends when something of it is done', async () => {
  vi.spyOn(Element.prototype, 'getBoundingClientRect').mockReturnValue(new DOMRect(0, 0, 620, 30));
  const inline = ['a run', 'Resume', 'Clone…', 'Compare…', '⋯More'];
  expect(await show({ state: 'failed', resumable: true })).toEqual(expect.arrayContaining(inline));
  const menu = () => host.querySelector('[role=dialog][aria-label="More to do with the run"]');
  const press = (text: string) =>
    act(async () => [...host.querySelectorAll('button')].find(each => each.textContent === text)!.click());
  expect(menu()).toBeNull();
  await press('⋯More');
  const items = [...menu()!.querySelectorAll('button')].map(each => each.textContent);
  expect(items).toEqual([
    'Change…',
    'Resume with…',
    'Fork…',
    'Train longer…',
    'Sweep…',
    'TensorBoard',
    'Delete…',
  ]);
  await press('Delete…');
  expect(menu()!.querySelector('[role=alertdialog]')).not.toBeNull(); // it asks first
  await press('Resume with…');
  expect(menu()).toBeNull();
  expect(host.querySelector('.imgcls-action-forms')).not.toBeNull();
});
