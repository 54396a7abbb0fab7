// The open image of a list, at the side of the page: it stays open while the list goes on.
import type { EvaluatedImage, Evaluation } from '../data/types';
import type { Pages } from '../data/use_pages';
import { SidePanel } from '../ui/side_panel';
import type { Corrections } from './corrections';
import { ImagePanel } from './image_panel';

interface Props {
  id: string;
  view: Evaluation;
  images: Pages<EvaluatedImage>;
  /** Its place in the list; null: none is open. */
  open: number | null;
  onOpen: (place: number | null) => void;
  corrections: Corrections | null;
}

export function OpenImage({ id, view, images, open, onOpen, corrections }: Props) {
  const item = open === null ? undefined : images.at(open);
  if (open === null || !item) return null;
  const total = images.total ?? 0;
  const onPlace = (place: number) => {
    images.need(Math.max(0, place - 1), Math.min(total, place + 2));
    onOpen(place);
  };
  return (
    <SidePanel>
      <ImagePanel
        {...{ id, view, item, total, corrections, onPlace }}
        place={open}
        onClose={() => onOpen(null)}
      />
    </SidePanel>
  );
}
