import { act } from 'react';
import { expect, it } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { RunDetail } from '../../src/views/data/types';
import { useCorrections } from '../../src/views/evaluation/use_corrections';
import { FakeSource, aRun } from '../fake';
import { host, root, stage } from '../stage';

stage();

const IMAGE = { image: 'a'.repeat(64), name: 'val/5/1.png', split: 'val', label: '5' };

function Corrected() {
  const { corrections } = useCorrections(aRun({ dataset_id: 1 }) as RunDetail);
  return (
    <button onClick={() => corrections!.relabel([IMAGE], '3')}>{corrections?.of(IMAGE.image)?.label}</button>
  );
}

it('says of an image what the draft makes of it', async () => {
  const source = new FakeSource({
    datasets: () => [{ id: 1, name: 'digits', created_at: 7 }],
    revisions: () => [],
  });
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <Corrected />
      </SourceProvider>,
    ),
  );
  await act(async () => host.querySelector('button')!.click());
  expect(host.textContent).toBe('3');
});
