// The page of the devices: load over the last hour, who holds what, executors and their buttons, storage.
import { act } from 'react';
import { expect, it } from 'vitest';
import { DevicesPage } from '../../src/views/pages/devices_page';
import { pieces } from '../../src/views/pages/load_plot';
import { SourceProvider } from '../../src/views/data/source';
import type { Device, DevicesReply, Executor, Storage, StoragePart } from '../../src/views/data/types';
import { NavigationProvider, type Place } from '../../src/views/ui/navigation';
import { FakeSource, aJob } from '../fake';
import { host, root, stage } from '../stage';

stage();

const NOW = Date.now() / 1000;
const device = (part: Partial<Device> = {}): Device => ({
  name: 'cuda:0',
  title: 'GPU 0 · H100',
  kind: 'cuda',
  host: 'here',
  memory_total: 80e9,
  memory_used: 38e9,
  utilisation: 0.61,
  run_id: null,
  run_name: null,
  run_owner: null,
  held_by: null,
  gpu_processes: [],
  ...part,
});
const executor = (part: Partial<Executor> = {}): Executor => ({
  id: 'here-1',
  host: 'here',
  home: 'h',
  user: 'ada',
  here: true,
  local: true,
  pid: 7,
  version: '1.2.3',
  state: 'alive',
  started_at: NOW - 3600,
  heartbeat_at: NOW - 4,
  ...part,
});
const devicesReply = (part: Partial<DevicesReply> = {}): DevicesReply => ({
  executors: [executor()],
  devices: [
    device({ run_id: 'r1', run_name: 'vit-base' }),
    device({ name: 'cuda:1', title: 'GPU 1 · H100' }),
  ],
  message: null,
  more_devices: 0,
  cluster: null,
  warm_start: true,
  warm_memory: 840e6,
  ...part,
});
const storagePart = (part: Partial<StoragePart>): StoragePart => ({
  kind: 'runs',
  title: 'Runs',
  size: 5e9,
  items: 12,
  frees: null,
  note: '',
  at_least: false,
  ...part,
});
const storage = (pictures = 4e8): Storage => ({
  parts: [
    storagePart({}),
    storagePart({ kind: 'pictures', title: 'Thumbnails', size: pictures, items: 9, frees: pictures }),
    storagePart({ kind: 'models', title: 'Models', size: 1e9, at_least: true }),
    storagePart({ kind: 'backups', title: 'Copies of the database', size: 2e6, items: 1, frees: 0 }),
  ],
  disks: [{ holds: 'home', free: 50e9, total: 100e9 }],
  measured_at: NOW,
  took: 0.1,
});
const load = () => ({
  every: 15,
  hosts: [
    {
      host: 'here',
      cores: 16,
      times: [NOW - 45, NOW - 30, NOW - 15],
      machine: { name: '', load: [0.1, 0.2, 0.3], memory: [1e9, 2e9, 3e9], memory_total: 8e9 },
      devices: [{ name: 'cuda:0', load: [0.9, 0.97, 0.61], memory: [1e9, 9e9, 38e9], memory_total: 80e9 }],
    },
  ],
});

async function show(answers: Record<string, (params: never) => unknown> = {}) {
  const source = new FakeSource({
    devices: () => devicesReply(),
    load,
    storage: () => storage(),
    ...answers,
  });
  const places: Place[] = [];
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <NavigationProvider value={place => places.push(place)}>
          <DevicesPage />
        </NavigationProvider>
      </SourceProvider>,
    ),
  );
  return { source, places };
}

const button = (name: string, within: ParentNode = host) =>
  [...within.querySelectorAll('button')].find(item => item.textContent!.startsWith(name));
const press = (name: string, within?: ParentNode) => act(async () => button(name, within)!.click());
const part = (kind: string) => host.querySelector(`[data-part=${kind}]`)!;

it('breaks a line where nothing was known for long, and draws the hour from left to right', () => {
  const at = { times: [100, 115, 130, 400, 415], values: [0, 1, null, 0.5, 2], most: 1, every: 15 };
  const found = pieces({ ...at, now: 415 });
  expect(found.map(points => points.length)).toEqual([2, 2]);
  const x = found.flat().map(([left]) => left);
  expect(x).toEqual([...x].sort((a, b) => a - b));
  expect(x[x.length - 1]).toBe(240);
  expect(found[0]!.map(([, y]) => y)).toEqual([35, 1]);
  expect(found[1]![1]![1]).toBe(1); // more than there is stays inside
  expect(pieces({ ...at, now: 10_000 })).toEqual([]);
  expect(pieces({ ...at, most: 0, now: 415 })).toEqual([]);
});

it('shows load and memory of machine and device in words too, and leads to the run', async () => {
  const { places } = await show();
  const plots = [...host.querySelectorAll('svg[role=img]')].map(plot => plot.getAttribute('aria-label'));
  expect(plots).toEqual([
    'Load of the machine here over the last hour: 30 % now, 30 % at most',
    'Memory of the machine here over the last hour: 3.0 GB now, 3.0 GB at most',
    'Load of GPU 0 · H100 over the last hour: 61 % now, 97 % at most',
    'Memory of GPU 0 · H100 over the last hour: 38.0 GB now, 38.0 GB at most',
  ]);
  await press('vit-base');
  expect(places).toEqual([{ view: 'run', id: 'r1' }]);
  expect(host.querySelector('[data-device="here cuda:1"]')!.textContent).toContain('free');
});

it('says what warm start holds, what that means, and how it is turned off', async () => {
  await show();
  expect(host.textContent).toContain('Warm start holds 840 MB.');
  expect(host.textContent).toContain('IMGCLS_WARM_START=0');
});

it('stops the executor of this machine after a question, and starts it again', async () => {
  const { source } = await show({
    'executor.stop': () => devicesReply(),
    'executor.start': () => devicesReply(),
  });
  await press('Stop…');
  expect(source.asked.map(([name]) => name)).not.toContain('executor.stop');
  await press('Stop', host.querySelector('[role=alertdialog]')!);
  expect(source.asked.map(([name]) => name)).toContain('executor.stop');
  const ended = devicesReply({ executors: [executor({ state: 'stopped' })], message: 'No executor.' });
  await act(async () => source.on('devices').push({ kind: 'devices', devices: ended }));
  expect(button('Stop…')).toBeUndefined();
  await press('Start', host.querySelector('[data-executor]')!);
  expect(source.asked.map(([name]) => name)).toContain('executor.start');
});

it('has no button for the executors of other machines and homes', async () => {
  const others = [
    executor({ id: 'a', host: 'there', local: false }),
    executor({ id: 'b', here: false, local: false }),
  ];
  await show({ devices: () => devicesReply({ executors: others }) });
  expect(host.querySelectorAll('[data-executor]')).toHaveLength(2);
  expect(button('Stop…')).toBeUndefined();
  expect(host.textContent).toContain('of another home');
});

it('frees a part after a question, says the bytes and measures anew', async () => {
  let pictures = 4e8;
  const { source, places } = await show({
    storage: () => storage(pictures),
    'storage.free': () => {
      pictures = 0;
      return aJob({ kind: 'free', subject: 'Thumbnails', state: 'succeeded', freed: { freed: 4e8 } });
    },
  });
  expect(part('models').textContent).toContain('at least 1.0 GB');
  expect(button('Delete', part('backups'))!.disabled).toBe(true);
  await press('Clear…', part('pictures'));
  expect(part('pictures').textContent).toContain('Free 400 MB?');
  await press('Clear', part('pictures').querySelector('[role=alertdialog]')!);
  expect(source.asked).toContainEqual(['storage.free', { kind: 'pictures' }]);
  expect(part('pictures').textContent).toContain('Freed 400 MB.');
  expect(part('pictures').textContent).toContain('0 B');
  await press('Largest first', part('runs'));
  expect(places[0]).toMatchObject({ view: 'runs', list: { sorting: { sort: 'size', order: 'desc' } } });
});

it('keeps what is there where freeing is refused, with the sentence', async () => {
  await show({
    'storage.free': () => {
      throw new Error('1 run is live.');
    },
  });
  await press('Clear…', part('pictures'));
  await press('Clear', part('pictures').querySelector('[role=alertdialog]')!);
  expect(part('pictures').textContent).toContain('1 run is live.');
  expect(button('Clear…', part('pictures'))!.disabled).toBe(false);
});

it('says what it waits for, and what is wrong', async () => {
  const never = () => new Promise(() => undefined);
  await show({ devices: never, storage: never });
  expect(host.textContent).toContain('Asking what the devices do…');
  expect(host.textContent).toContain('Measuring what the home takes');
});
