import { act } from 'react';
import { expect, it } from 'vitest';
import { CodeCard } from '../../src/views/compare/code_difference';
import { SourceProvider } from '../../src/views/data/source';
import type { CodeChanges, Comparison } from '../../src/views/data/types';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';

stage();

const told: CodeChanges = {
  ...{ before: 'a'.repeat(40), after: 'b'.repeat(40), diff_cut: false, sentence: '' },
  ...{ diff: 'diff --git a/x b/x\n-old\n+new\n', changed: 1, added: 1, removed: 1 },
  files: ['imgcls_lab/events.py'],
};
const comparing = (differs: Comparison['differs']): Comparison => ({
  ...{ runs: [aRun({ id: 'a' }), aRun({ id: 'b' })], differs, missing: [], unrecorded: [], same: [] },
  ...{ same_settings: 0, unlisted: 0, other_images: false, sizes: [], tags: [] },
});
const commit = { part: 'code', name: 'commit', title: 'commit', values: ['aaaaaaa', 'bbbbbbb'] } as const;

async function show(answer: CodeChanges, differs: Comparison['differs']) {
  const source = new FakeSource({ codeChanges: () => answer });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <CodeCard comparison={comparing(differs)} />
      </SourceProvider>,
    ),
  );
  return source;
}
const unfold = () =>
  act(async () => {
    const details = host.querySelector('details')!;
    details.open = true;
    details.dispatchEvent(new Event('toggle'));
  });

it('asks git once it is unfolded, and shows what was added and removed', async () => {
  const source = await show(told, [{ ...commit, values: [...commit.values] }]);
  expect(source.asked).toEqual([]);
  await unfold();
  expect(source.asked).toEqual([['codeChanges', { id: 'b', against: 'a' }]]);
  expect(host.textContent).toContain('From aaaaaaa to bbbbbbb: 1 file, +1 −1');
  expect(host.querySelector('.imgcls-diff-added')!.textContent).toBe('+new\n');
  expect(host.textContent).toContain('Of imgcls-lab 1 file differs: imgcls_lab/events.py.');
});

it('says why there is nothing to show, and is not there where the commits are the same', async () => {
  const sentence = 'No repository that this server knows has both commits.';
  await show({ ...told, diff: null, sentence, files: [] }, [{ ...commit, values: [...commit.values] }]);
  await unfold();
  expect(host.textContent).toContain(sentence);
  expect(host.textContent).toContain('Both used the same files of imgcls-lab.');
  await show(told, []);
  expect(host.querySelector('details')).toBeNull();
});
