// Images in a cell: captions from the answer, pictures from the source, a lightbox, and no view of what is no gallery.
import { act } from 'react';
import { expect, it } from 'vitest';
import { Gallery } from '../../src/views/live/gallery';
import { galleryOf, originOf } from '../../src/views/live/gallery_data';
import type { GalleryModel } from '../../src/widget/gallery_source';
import { GallerySource } from '../../src/widget/gallery_source';
import type { Message } from '../../src/widget/messages';
import { FakeSource } from '../fake';
import { host, root, stage } from '../stage';

stage();

const DATA = {
  title: '2 of 9 mistakes',
  total: 2,
  items: [
    {
      image: 'a',
      name: 'val/猫/1.png',
      lines: [
        ['猫', null],
        ['→ dog 98 %', false],
      ],
    },
    { image: '', name: 'val/cat/2.png', lines: [['cat', true]] },
  ],
};

it('shows its images with their captions, and one of them large', async () => {
  const source = new FakeSource({ image: () => new Blob(['x']) });
  const pictureOf = originOf({ kind: 'run', id: 'r1' })!;
  await act(async () =>
    root.render(<Gallery source={source} data={galleryOf(DATA)!} pictureOf={pictureOf} />),
  );
  const [first, second] = host.querySelectorAll('[role=gridcell]');
  expect(first!.textContent).toBe('猫→ dog 98 %');
  expect(first!.querySelector('[data-tone=error]')?.textContent).toBe('→ dog 98 %');
  expect(second!.getAttribute('aria-label')).toBe('val/cat/2.png: cat');
  expect(pictureOf('a')).toEqual({ kind: 'run', id: 'r1', image: 'a' });
});

it('takes nothing that is no gallery', () => {
  for (const odd of [{}, { title: 1, items: [] }, { title: 'x', items: 'y' }])
    expect(galleryOf(odd)).toBeNull();
  const { items } = galleryOf({ title: 'x', items: [null, { lines: 'y' }, { lines: [null, [1, 2]] }] })!;
  expect(items.map(item => item.lines)).toEqual([
    [],
    [],
    [
      ['', null],
      ['1', null],
    ],
  ]);
  for (const odd of [
    null,
    'x',
    { kind: 'run', id: 1 },
    { kind: 'dataset', id: '/etc' },
    { kind: 'x', id: 'y' },
  ])
    expect(originOf(odd)).toBeNull();
});

it('gets its pictures from the kernel, and nothing else', async () => {
  const sent: { op: string; id: number }[] = [];
  let take: (message: Message, buffers: DataView[]) => void = () => undefined;
  const model = {
    get: () => ({}),
    send: (content: { op: string; id: number }) => void sent.push(content),
    on: (_name: string, handler: typeof take) => (take = handler),
    off: () => undefined,
  } as unknown as GalleryModel;
  const source = new GallerySource(model, new AbortController().signal);
  const asked = source.image({ kind: 'dataset', id: 0, image: 'a', size: 128 }, new AbortController().signal);
  expect(sent[0]!.op).toBe('picture');
  take({ op: 'reply', id: sent[0]!.id }, [new DataView(new Uint8Array([1, 2]).buffer)]);
  expect((await asked).size).toBe(2);
  await expect(source.query()).rejects.toThrow();
});
