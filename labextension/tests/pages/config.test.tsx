import { act } from 'react';
import { expect, it } from 'vitest';
import { ConfigPage } from '../../src/views/pages/config';
import { SourceProvider } from '../../src/views/data/source';
import type { Config, ConfigVersion } from '../../src/views/data/types';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import { FakeSource } from '../fake';
import { button, host, press, root, stage } from '../stage';

stage();

const version = (number: number, lr: number, changed: string[] = ['lr']): ConfigVersion => ({
  config_id: 5,
  number,
  author: 'ada',
  created_at: 0,
  config: { lr, epochs: 10 },
  changed,
});

const schema = {
  json_schema: {
    properties: {
      lr: { title: 'Learning rate', type: 'number', default: 0.05 },
      epochs: { title: 'Epochs', type: 'integer', default: 10 },
    },
  },
};

/** A server that has two versions, and adds one that restores an older one. */
function serving(): FakeSource {
  const versions = [version(2, 0.02), version(1, 0.01, [])];
  const config = (): Config => ({
    id: 5,
    name: 'small',
    owner: 'ada',
    project_id: 1,
    project: 'pets',
    config: versions[0]!.config,
    description: '',
    created_at: 0,
    updated_at: 0,
    version: versions.length,
    may_change: true,
  });
  return new FakeSource({
    schema: () => schema,
    configs: () => [config()],
    configVersions: () => [...versions],
    'configs.restore': ({ number }: { number: number }) => {
      const older = versions.find(item => item.number === number)!;
      versions.unshift({ ...older, number: versions.length + 1, changed: ['lr'] });
      return config();
    },
  });
}

const places: Place[] = [];
const cells = (): string[] => [...host.querySelectorAll('tbody td')].map(cell => cell.textContent ?? '');

async function open(source: FakeSource): Promise<void> {
  places.length = 0;
  await act(async () => {
    root.render(
      <SourceProvider value={source}>
        <NavigationProvider value={place => void places.push(place)}>
          <ConfigPage id={5} />
        </NavigationProvider>
      </SourceProvider>,
    );
  });
}

it('shows what the newest version changed, and an older one beside the defaults', async () => {
  await open(serving());
  expect(host.querySelector('p[role=status]')!.textContent).toBe('1 setting of 2 differs from version 1.');
  expect(cells()).toEqual(['Learning rate', '0.02', '0.01', 'lr']);
  await press(/^Version 1/);
  expect(host.querySelector('p[role=status]')!.textContent).toContain('differs from the defaults');
  expect(cells()).toEqual(['Learning rate', '0.01', '0.05', 'lr']);
});

it('restores an older version as the newest, and launches from any', async () => {
  await open(serving());
  expect(button(/^Restore/).disabled).toBe(true);
  await press(/^Version 1/);
  await press(/^Launch version 1/);
  expect(places).toEqual([{ view: 'new-run', config: 5, version: 1 }]);
  await press(/^Restore/);
  expect(host.querySelector('.imgcls-config')!.getAttribute('data-version')).toBe('3');
  expect(button(/^Version 3/).getAttribute('aria-pressed')).toBe('true');
});

it('says that a config is there no longer', async () => {
  await open(new FakeSource({ configs: () => [], configVersions: () => [], schema: () => schema }));
  expect(host.textContent).toContain('This config is not there any more');
});
