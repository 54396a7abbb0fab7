import { act } from 'react';
import { expect, it, vi } from 'vitest';
import { SourceProvider } from '../../src/views/data/source';
import type { Image } from '../../src/views/data/types';
import { usePages } from '../../src/views/data/use_pages';
import { ImageGrid, stepOf, type GridItem } from '../../src/views/images/image_grid';
import { useSelection } from '../../src/views/images/selection';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();

const TOTAL = 100_000;
const anImage = (n: number): Image => ({
  image: n.toString(16).padStart(64, '0'),
  name: `train/cat/${n}.jpg`,
  split: 'train',
  label: 'cat',
  folder_label: 'cat',
});
const ITEM: GridItem<Image> = {
  idOf: image => image.name,
  nameOf: image => image.name,
  picture: ({ image }) => ({ kind: 'dataset', id: 1, image }),
};

function aSource() {
  return new FakeSource({
    datasetImages: ({ offset, limit }: { offset: number; limit: number }) => ({
      items: Array.from({ length: Math.min(limit, TOTAL - offset) }, (_, i) => anImage(offset + i)),
      offset,
      total: TOTAL,
    }),
    image: () => new Blob(['x']),
  });
}

function Grid({ onOpen }: { onOpen?: (index: number) => void }) {
  const pages = usePages('datasetImages', { id: 1 });
  const selection = useSelection(pages, ITEM.idOf);
  return (
    <>
      <output>{selection.chosen.size}</output>
      <ImageGrid label="images" pages={pages} item={ITEM} selection={selection} onOpen={onOpen} />
    </>
  );
}

const grid = () => host.querySelector<HTMLElement>('[role=grid]')!;
const cells = () => [...grid().querySelectorAll<HTMLElement>('[role=gridcell]')];
const press = (key: string, options: KeyboardEventInit = {}) =>
  act(async () => {
    const focused = document.activeElement?.closest('[role=grid]') ? document.activeElement : cells()[0]!;
    focused.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...options }));
  });

async function draw(source: FakeSource, onOpen?: (index: number) => void) {
  vi.spyOn(HTMLElement.prototype, 'clientWidth', 'get').mockReturnValue(500);
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(600);
  host.className = 'imgcls';
  await act(async () =>
    root.render(
      <SourceProvider value={source}>
        <Grid onOpen={onOpen} />
      </SourceProvider>,
    ),
  );
}

it('draws and asks for what is in view alone', async () => {
  const source = aSource();
  await draw(source);
  expect(cells().length).toBeLessThan(60);
  expect(grid().getAttribute('aria-rowcount')).toBe(String(TOTAL / 4));
  await press('End');
  const last = document.activeElement as HTMLElement;
  expect(last.dataset.index).toBe(String(TOTAL - 1));
  expect(cells().length).toBeLessThan(60);
  const offsets = source.asked.flatMap(([name, params]) =>
    name === 'datasetImages' ? [(params as { offset: number }).offset] : [],
  );
  expect(offsets).toEqual([0, TOTAL - 200]);
  expect(cells().filter(cell => cell.tabIndex === 0)).toEqual([last]);
});

it('selects by Space, a stretch with Shift over pages that were not in view, and opens by Enter', async () => {
  const opened = vi.fn();
  await draw(aSource(), opened);
  await press('ArrowRight');
  await press(' ');
  await press('ArrowDown', { shiftKey: true });
  expect(host.querySelector('output')!.textContent).toBe('5');
  await press('Enter');
  expect(opened).toHaveBeenCalledWith(5);
  await press('a', { ctrlKey: true });
  expect(host.querySelector('output')!.textContent).toBe('20000');
  await press('Escape');
  expect(host.querySelector('output')!.textContent).toBe('0');
});

it('moves by rows and stays inside', () => {
  expect(stepOf('ArrowDown', 5, 10, 4, 2)).toBe(9);
  expect(stepOf('ArrowDown', 6, 10, 4, 2)).toBe(9); // the last row is shorter
  expect(stepOf('ArrowDown', 9, 10, 4, 2)).toBe(9);
  expect(stepOf('ArrowUp', 2, 10, 4, 2)).toBe(2);
  expect(stepOf('PageUp', 9, 10, 4, 3)).toBe(1);
  expect(stepOf('End', 0, 10, 4, 2)).toBe(9);
  expect(stepOf('x', 0, 10, 4, 2)).toBeUndefined();
});
