import { act } from 'react';
import { expect, it } from 'vitest';
import { DatasetOverview } from '../../src/views/pages/dataset_overview';
import { SourceError, SourceProvider } from '../../src/views/data/source';
import type { DatasetDetail } from '../../src/views/data/types';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();

it('says once, not for each class, that the images are not known', async () => {
  const source = new FakeSource({
    datasetImages: () => {
      throw new SourceError('The images are not known yet.', 409);
    },
  });
  const classes = ['cat', 'dog', 'owl'].map(name => ({ name, images: { train: 3 } }));
  const detail = { dataset: { id: 1 }, classes, sizes: null, formats: null } as unknown as DatasetDetail;
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <DatasetOverview detail={detail} columns={2} onClass={() => undefined} />
      </SourceProvider>,
    ),
  );
  expect(host.textContent.split('not known yet').length - 1).toBe(1);
});
