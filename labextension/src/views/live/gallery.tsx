// Images that a cell's answer names, as a grid with a lightbox: mistakes, samples, problems. The pictures come from the
// source, the captions with the answer.
import { useMemo, useState } from 'react';
import type { PictureOf } from '../data/asked';
import type { Source } from '../data/source';
import { SourceProvider } from '../data/source';
import { usePageOf } from '../data/use_pages';
import { ImageGrid, type GridItem } from '../images/image_grid';
import { Lightbox } from '../images/lightbox';
import { count } from '../ui/format';
import type { GalleryData, GalleryImage } from './gallery_data';
import './gallery.css';
import './live_run.css';

const EDGE = 104;
const LINE = 17;

const textOf = ({ lines }: GalleryImage): string => lines.map(([text]) => text).join(', ');

const Captions = ({ item }: { item: GalleryImage }) => (
  <>
    {item.lines.map(([text, good], index) => (
      <div
        key={index}
        className="imgcls-clip"
        title={text}
        data-tone={good === null ? undefined : good ? 'ok' : 'error'}
      >
        {text}
      </div>
    ))}
  </>
);

interface Props {
  source: Source;
  data: GalleryData;
  /** Where the source finds the picture of an image. */
  pictureOf: (image: string) => PictureOf;
}

function Images({ data: { title, items, total }, pictureOf }: Omit<Props, 'source'>) {
  const pages = usePageOf(items);
  const [open, setOpen] = useState<number | null>(null);
  const item = useMemo(
    (): GridItem<GalleryImage> => ({
      idOf: one => one.image,
      nameOf: one => `${one.name}: ${textOf(one)}`,
      picture: one => (one.image ? pictureOf(one.image) : null),
      problem: one => (one.image ? null : 'It is not known which file this was.'),
      caption: one => <Captions item={one} />,
    }),
    [pictureOf],
  );
  const lines = items.reduce((high, one) => Math.max(high, one.lines.length), 0);
  return (
    <>
      <p>
        {title}
        {total > items.length && (
          <span className="imgcls-muted">
            {' '}
            · here are the first {count(items.length)} of {count(total)}
          </span>
        )}
      </p>
      <ImageGrid
        label={title}
        pages={pages}
        item={item}
        edge={EDGE}
        captionHeight={lines * LINE}
        onOpen={setOpen}
      />
      {open !== null && (
        <Lightbox
          pages={pages}
          index={open}
          picture={item.picture}
          problem={item.problem}
          nameOf={one => one.name}
          facts={textOf}
          onIndex={setOpen}
          onClose={() => setOpen(null)}
        />
      )}
    </>
  );
}

export function Gallery({ source, ...rest }: Props) {
  return (
    <SourceProvider value={source}>
      {/* the keys of its grid are none of the notebook's */}
      <section className="imgcls imgcls-live imgcls-gallery" data-lm-suppress-shortcuts="true">
        <Images {...rest} />
      </section>
    </SourceProvider>
  );
}
