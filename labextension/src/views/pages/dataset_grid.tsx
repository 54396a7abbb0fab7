// Images of a data set as a grid that can be corrected: by keys or by buttons, one image or a selection. Each correction
// goes into the draft of the data set's next revision.
import { useCallback, useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from 'react';
import type { DraftChange, DraftRevision } from '../data/draft_revision';
import type { Dataset, Image } from '../data/types';
import type { Pages } from '../data/use_pages';
import { RelabelChoice } from '../evaluation/relabel_choice';
import { ImageGrid, type GridItem } from '../images/image_grid';
import { Lightbox } from '../images/lightbox';
import { useSelection } from '../images/selection';
import { Button } from '../ui/button';
import { bytes, count, leaf, plural } from '../ui/format';
import { Keys } from '../ui/keys';
import { draftOf, excluded, relabelled, restored } from './corrections';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './change_list.css';
import './dataset_grid.css';

const KEYS = [
  ['R', 'relabel'],
  ['X', 'exclude'],
  ['U', 'undo'],
  ['↵', 'open'],
] as const;

/** What stands below an image: its class, after the draft. */
export function LabelOf({ image, draft }: { image: Image; draft: DraftRevision }) {
  const change = draftOf(draft, image);
  const label = change ? change.after : image.excluded ? null : image.label;
  if (label === null) return <span className="imgcls-excluded">excluded</span>;
  return (
    <>
      {label !== image.folder_label && <span className="imgcls-muted">{image.folder_label} → </span>}
      <span className={label !== image.folder_label ? 'imgcls-relabelled' : undefined}>{label}</span>
    </>
  );
}

/** Where an image lies, short enough to stand below it: its class is said already. */
export const placeOf = (image: Image): string => `${image.split}/${leaf(image.name)}`;

/** How a grid shows the images of a data set. */
export function useImageItem(
  dataset: Dataset,
  draft: DraftRevision,
  note?: (image: Image) => ReactNode,
): GridItem<Image> {
  return useMemo(
    () => ({
      idOf: image => image.name,
      nameOf: image => `${image.name}, ${image.label}`,
      picture: image => (image.image ? { kind: 'dataset', id: dataset.id, image: image.image } : null),
      problem: image => image.problem,
      caption: image => (
        <>
          <div className="imgcls-clip">
            <LabelOf {...{ image, draft }} />
          </div>
          {note && <div className="imgcls-clip imgcls-muted">{note(image)}</div>}
        </>
      ),
      mark: image => {
        const change = draftOf(draft, image);
        if (change ? change.after === null : image.excluded) return 'imgcls-cell-out';
        return change ? 'imgcls-cell-changed' : undefined;
      },
    }),
    [dataset.id, draft, note],
  );
}

const factsOf = (image: Image, draft: DraftRevision): ReactNode => (
  <>
    <LabelOf {...{ image, draft }} /> · {image.split}
    {image.width ? ` · ${image.width} × ${image.height} px` : ''}
    {image.size ? ` · ${bytes(image.size)}` : ''}
  </>
);

interface Props {
  label: string;
  dataset: Dataset;
  draft: DraftRevision;
  pages: Pages<Image>;
  /** Written into the changes. */
  why?: string;
  edge?: number;
  /** The second line below an image. */
  note?: (image: Image) => ReactNode;
  empty?: ReactNode;
  tools?: ReactNode;
}

export function DatasetGrid({
  label,
  dataset,
  draft,
  pages,
  why = 'by hand',
  edge,
  note,
  empty,
  tools,
}: Props) {
  const item = useImageItem(dataset, draft, note);
  const selection = useSelection(pages, item.idOf);
  const [opened, setOpened] = useState<number | null>(null);
  const [relabelling, setRelabelling] = useState<Image[] | null>(null);
  const { chosen } = selection;
  const mayChange = dataset.may_change;
  const change = (images: Image[], make: (image: Image) => DraftChange) => {
    const named = images.filter(image => image.image); // an unreadable file has no content to go by
    if (named.length > 0) draft.add(named.map(make));
  };
  const exclude = (images: Image[]) =>
    images.every(image => draftOf(draft, image)?.after === null)
      ? change(images, restored)
      : change(images, image => excluded(image, why));
  const before = useRef<Element | null>(null); // what had the focus
  const relabel = (images: Image[]) => {
    before.current = document.activeElement;
    setRelabelling(images);
  };
  const chosenClass = () => {
    setRelabelling(null);
    (before.current as HTMLElement | null)?.focus({ preventScroll: true });
  };
  const keyDown = (event: KeyboardEvent, index: number) => {
    if (!mayChange || event.ctrlKey || event.metaKey || event.altKey) return;
    const one = pages.at(index);
    const images = opened === null && chosen.size > 0 ? [...chosen.values()] : one ? [one] : [];
    if (event.key === 'x' && images.length > 0) exclude(images);
    else if (event.key === 'r' && images.length > 0) relabel(images);
    else if (event.key === 'z' && opened === null && draft.canUndo) draft.undo();
    else if (event.key === 'u' && draft.canUndo) draft.undo();
    else return;
    event.preventDefault();
  };
  const close = useCallback(() => setOpened(null), []);
  const choice = relabelling && (
    <span className="imgcls-relabel-anchor imgcls-relabel-right">
      <RelabelChoice
        names={dataset.classes}
        what={relabelling.length === 1 ? relabelling[0]!.name : plural(relabelling.length, 'image')}
        onChoose={name => {
          change(relabelling, image => relabelled(image, name, why));
          chosenClass();
        }}
        onCancel={chosenClass}
      />
    </span>
  );
  const images = [...chosen.values()];
  return (
    <div className="imgcls-stack">
      {tools && <div className="imgcls-filters">{tools}</div>}
      <div className="imgcls-filters imgcls-grid-tools">
        {chosen.size > 0 ? (
          <div className="imgcls-buttons" role="group" aria-label="The selected images">
            <span className="imgcls-num">{count(chosen.size)} selected</span>
            {mayChange && (
              <>
                <Button onClick={() => relabel(images)}>Relabel…</Button>
                <Button onClick={() => exclude(images)}>Exclude</Button>
                <Button onClick={() => change(images, restored)}>Restore</Button>
              </>
            )}
            <Button onClick={selection.clear}>Clear</Button>
          </div>
        ) : (
          mayChange && <Keys of={KEYS} />
        )}
        {opened === null && choice}
      </div>
      <ImageGrid
        {...{ label, pages, item, selection, empty }}
        edge={edge}
        captionHeight={note ? 36 : 20}
        onOpen={setOpened}
        onKey={keyDown}
      />
      {opened !== null && (
        <Lightbox
          {...{ pages }}
          index={opened}
          picture={item.picture}
          nameOf={image => image.name}
          problem={item.problem}
          sizeOf={({ width = 0, height = 0 }) => ({ width, height })}
          facts={image => factsOf(image, draft)}
          onKey={keyDown}
          onIndex={setOpened}
          onClose={close}
          aside={choice && <span className="imgcls-relabel-left">{choice}</span>}
        />
      )}
    </div>
  );
}
