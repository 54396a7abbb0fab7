// Verification: what is asked for, how far it is, and what came of it.
import { act } from 'react';
import { expect, it } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { Certificate, Proof, RunDetail } from '../../src/views/data/types';
import { Verification, whyNotVerified } from '../../src/views/pages/verification';
import { FakeSource, aRun, aRunDetail } from '../fake';
import { button, host, root, stage } from '../stage';

stage();

const CERTIFICATE: Certificate = {
  run: 'r1',
  identical: true,
  checkpoint: '',
  from_step: 0,
  last_step: 20,
  steps: 20,
  hashes: 5,
  first_step: null,
  differences: [],
  sentence: 'Bit-identical from step 1 to 20: 5 hashes of the weights and the losses agree.',
  remedy: '',
  made_at: 1000,
};

async function show(proof: Proof, run: Partial<RunDetail> = {}) {
  const source = new FakeSource({
    verification: () => proof,
    verify: () => aRun({ id: 't1', kind: 'task', state: 'queued' }),
    stop: () => aRun({ id: 't1', kind: 'task', state: 'stopped' }),
  });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <Verification run={aRunDetail(run)} />
      </SourceProvider>,
    ),
  );
  return source;
}

it('asks for the first 20 steps, and says what came of them', async () => {
  const source = await show({ certificate: CERTIFICATE, task: null });
  expect(host.querySelector('.imgcls-certificate')!.textContent).toContain('Bit-identical · steps 1 to 20');
  await act(async () => button('Verify').click());
  expect(source.asked).toContainEqual(['verify', { id: 'r1', steps: 20, at: '' }]);
});

it('names the first step that differs, what is otherwise, and what would help', async () => {
  const differs = {
    ...CERTIFICATE,
    identical: false,
    first_step: 1,
    differences: [{ kind: 'threads' as const, text: 'threads is 2 and was 1' }],
    sentence: 'Step 1 is the first that differs: threads is 2 and was 1.',
    remedy: 'Set threads as it was.',
  };
  await show({ certificate: differs, task: null });
  const said = host.querySelector('.imgcls-certificate')!;
  expect(said.querySelector('[data-tone=error]')!.textContent).toBe('Differs from step 1');
  expect(said.querySelector('li')!.textContent).toBe('threads is 2 and was 1');
  expect(said.textContent).toContain('Set threads as it was.');
});

it('shows how far it is and can be cancelled; one that failed says why', async () => {
  const task = aRun({ id: 't1', kind: 'task', phase: 'computing steps again', step: 7, total_steps: 20 });
  const source = await show({ certificate: null, task });
  expect(host.querySelector('[role=status]')!.textContent).toContain('computing steps again · 7 of 20');
  expect(button('Verify')).toBeUndefined();
  await act(async () => button('Cancel').click());
  expect(source.asked).toContainEqual(['stop', { id: 't1' }]);
  await show({ certificate: null, task: { ...task, state: 'failed', message: 'The images are gone.' } });
  expect(host.querySelector('[role=alert]')!.textContent).toContain('The images are gone.');
});

it('is not offered while a run trains, and says why', async () => {
  await show({ certificate: null, task: null }, { state: 'running' });
  expect(button('Verify').disabled).toBe(true);
  expect(whyNotVerified(aRunDetail({ step: 0 }))).toBe('It has trained no step');
  expect(whyNotVerified(aRunDetail({ view_only: true }))).toContain('Claim');
  expect(whyNotVerified(aRunDetail())).toBeUndefined();
});
