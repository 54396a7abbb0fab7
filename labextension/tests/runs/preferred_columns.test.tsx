import { act } from 'react';
import { expect, it } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import { FIRST_COLUMNS } from '../../src/views/runs/columns';
import { FIRST_VIEW, useRunList } from '../../src/views/runs/use_run_list';
import { NO_PREFERENCES, PreferencesProvider, PreferenceStore } from '../../src/views/ui/preferences';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();

const KNOWN = [...FIRST_COLUMNS.filter(key => key !== 'curve'), 'batch_size', 'weight_decay'];

function Keys({ columns }: { columns: readonly string[] | null }) {
  return <p>{useRunList({ ...FIRST_VIEW, columns }).keys.join()}</p>;
}

it('shows the columns of the settings, at once, unless a list has its own', async () => {
  const source = new FakeSource({
    runs: () => ({ items: [], total: 0, counts: {}, owners: [], deleted: [] }),
    runGroups: () => ({ rows: [], total: 0, counts: {}, owners: [] }),
    runColumns: () => ({
      columns: KNOWN.map(key => ({ key, label: key, description: '', group: 'run', kind: 'number' })),
      groups: {},
      tags: [],
    }),
  });
  const store = new PreferenceStore();
  const show = (columns: readonly string[] | null = null) =>
    act(async () =>
      root.render(
        <SourceProvider value={source}>
          <PreferencesProvider value={store}>
            <Keys columns={columns} />
          </PreferencesProvider>
        </SourceProvider>,
      ),
    );
  await show();
  expect(host.textContent).toBe(FIRST_COLUMNS.join());
  await act(async () => store.set({ ...NO_PREFERENCES, columns: ['batch_size', 'no such', 'curve'] }));
  expect(host.textContent).toBe('batch_size,curve');
  await show(['lr']);
  expect(host.textContent).toBe('lr');
  await act(async () => store.set({ ...NO_PREFERENCES, columns: ['no such'] }));
  await show();
  expect(host.textContent).toBe(FIRST_COLUMNS.join());
});
