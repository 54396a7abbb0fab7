import { act } from 'react';
import { expect, it } from 'vitest';
import { RegistriesPage } from '../../src/views/pages/registries';
import { SourceProvider } from '../../src/views/data/source';
import type { Dataset } from '../../src/views/data/types';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();

it('looks at the folder of a data set again, and shows what it found', async () => {
  let pets: Dataset = {
    id: 3,
    name: 'pets',
    owner: 'ada',
    root: '/d/pets',
    description: '',
    created_at: 0,
    classes: ['cat', 'dog'],
    images: { train: 10 },
    smallest_class: 4,
    largest_class: 6,
    problem: null,
    notes: [],
    skipped_files: {},
    may_change: true,
  };
  const source = new FakeSource({
    datasets: () => [pets],
    info: () => ({
      version: '1.2.3',
      datasets_dir: '/d',
      roots: [],
      home: '/h',
      user: 'ada',
      demo_ready: false,
    }),
    'datasets.rescan': ({ id }: { id: number }) => {
      expect(id).toBe(3);
      const note = '2 files are not taken: 2 .heic (`pip install pillow-heif`, then they are read).';
      pets = { ...pets, images: { train: 1234 }, problem: 'The class “dog” has no image.', notes: [note] };
      return pets;
    },
  });
  await act(async () => {
    root.render(
      <SourceProvider value={source}>
        <RegistriesPage />
      </SourceProvider>,
    );
  });
  expect(host.textContent).toContain('train 10');
  const button = [...host.querySelectorAll('button')].find(item => item.textContent === 'Rescan');
  await act(async () => button?.click());
  expect(host.textContent).toContain('train 1,234');
  expect(host.textContent).toContain('“dog” has no image');
  expect(host.textContent).toContain('2 .heic (`pip install pillow-heif`, then they are read)');
});

it('says how a project comes in from elsewhere', async () => {
  const source = new FakeSource({ projects: () => [] });
  await act(async () => {
    root.render(
      <SourceProvider value={source}>
        <RegistriesPage registry="projects" />
      </SourceProvider>,
    );
  });
  const button = [...host.querySelectorAll('button')].find(item => item.textContent === 'Import…');
  await act(async () => button!.click());
  expect(host.querySelector('code')!.textContent).toBe('imgcls-lab projects import FILE');
});
