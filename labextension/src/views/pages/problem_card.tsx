// What the cards of problems share: their frame, and the images of a problem large.
import { useState, type ReactNode } from 'react';
import type { DraftRevision } from '../data/draft_revision';
import type { Audit, Dataset, Image } from '../data/types';
import { usePageOf } from '../data/use_pages';
import { Lightbox } from '../images/lightbox';
import { Thumbnail } from '../images/thumbnail';
import { count, leaf } from '../ui/format';
import { Problem } from '../ui/messages';
import '../ui/layout.css';
import './problem_card.css';

/** What a card needs to show problems and to correct them. */
export interface CardProps {
  dataset: Dataset;
  draft: DraftRevision;
  audit: Audit;
}

interface FrameProps {
  title: string;
  total: number | undefined;
  aside?: ReactNode;
  error?: string | null;
  wide?: boolean;
  children: ReactNode;
}

export function ProblemCard({ title, total, aside, error, wide, children }: FrameProps) {
  return (
    <section
      className={`imgcls-card imgcls-problem-card${wide ? ' imgcls-problem-wide' : ''}`}
      aria-label={title}
    >
      <header>
        <h3>
          {title} {total !== undefined && <span className="imgcls-muted imgcls-num">{count(total)}</span>}
        </h3>
        <span className="imgcls-spacer" />
        {aside}
      </header>
      <Problem>{error}</Problem>
      {children}
    </section>
  );
}

const nameOf = (image: Image): string => image.name;

function Group({
  images,
  start,
  id,
  onClose,
}: {
  images: Image[];
  start: number;
  id: number;
  onClose: () => void;
}) {
  const [index, setIndex] = useState(start);
  return (
    <Lightbox
      pages={usePageOf(images)}
      index={index}
      picture={({ image }) => (image ? { kind: 'dataset', id, image } : null)}
      nameOf={nameOf}
      problem={image => image.problem}
      sizeOf={({ width = 0, height = 0 }) => ({ width, height })}
      facts={({ label, split, width, height }) =>
        `${label} · ${split}${width ? ` · ${width} × ${height} px` : ''}`
      }
      onIndex={setIndex}
      onClose={onClose}
    />
  );
}

/** Images of a group side by side; a click shows one large. */
export function GroupThumbs({
  images,
  id,
  edge,
  most,
  named,
}: {
  images: Image[];
  id: number;
  edge: number;
  most: number;
  named?: boolean;
}) {
  const [opened, setOpened] = useState<number | null>(null);
  const shown = images.slice(0, most);
  return (
    <div className="imgcls-group">
      {shown.map((image, index) => (
        <button
          key={`${image.name} ${index}`}
          type="button"
          className="imgcls-group-image"
          title={image.name}
          aria-label={`Show ${image.name} large`}
          style={{ width: edge }}
          onClick={() => setOpened(index)}
        >
          <Thumbnail
            of={image.image ? { kind: 'dataset', id, image: image.image } : null}
            alt=""
            edge={edge}
            height={Math.round(edge * 0.64)}
            problem={image.problem}
          />
          {named && (
            <span className="imgcls-group-name imgcls-clip">
              {image.split} {leaf(image.name)}
            </span>
          )}
        </button>
      ))}
      {images.length > most && (
        <span className="imgcls-muted imgcls-num">+{count(images.length - most)}</span>
      )}
      {opened !== null && <Group {...{ images, id }} start={opened} onClose={() => setOpened(null)} />}
    </div>
  );
}
