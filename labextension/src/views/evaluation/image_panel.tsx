// One image over the page: what the model saw and said, its story over the epochs, its neighbours, and its correction.
import { useEffect, useRef, useState, type KeyboardEvent } from 'react';
import type { EvaluatedImage, Evaluation } from '../data/types';
import { useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { Key } from '../ui/keys';
import { Problem } from '../ui/messages';
import { BiographyPlot } from './biography_plot';
import { classKeys } from './class_keys';
import { correctionOfKey, type Corrections } from './corrections';
import { DraftMark } from './draft_mark';
import { ImageFacts, OtherRuns } from './image_facts';
import { ModelPicture } from './model_picture';
import { NearestImages } from './nearest_images';
import { RelabelChoice } from './relabel_choice';
import './image_panel.css';

interface Props {
  id: string;
  view: Evaluation;
  item: EvaluatedImage;
  /** Its place in the list, from 0. */
  place: number;
  total: number;
  /** null: the run's data set is not registered, so nothing can be corrected. */
  corrections: Corrections | null;
  onPlace: (place: number) => void;
  onClose: () => void;
}

function Head({ item, place, total, onPlace, onClose }: Omit<Props, 'id' | 'view' | 'corrections'>) {
  return (
    <header>
      <h2 className="imgcls-clip imgcls-mono" title={item.name}>
        {item.name}
      </h2>
      <span className="imgcls-spacer" />
      <span className="imgcls-muted imgcls-num">
        {place + 1} of {total}
      </span>
      <Button aria-label="← K, the image before" disabled={place === 0} onClick={() => onPlace(place - 1)}>
        ← <Key>K</Key>
      </Button>
      <Button
        aria-label="→ J, the next image"
        disabled={place + 1 >= total}
        onClick={() => onPlace(place + 1)}
      >
        → <Key>J</Key>
      </Button>
      <Button aria-label="Close" title="Escape" onClick={onClose}>
        ✕
      </Button>
    </header>
  );
}

function Foot({
  item,
  view,
  corrections,
  choosing,
  onChoosing,
}: Pick<Props, 'item' | 'view'> & {
  corrections: Corrections;
  choosing: boolean;
  onChoosing: (choosing: boolean) => void;
}) {
  const keys = classKeys(view, item.label, item.predicted);
  const draft = corrections.of(item.image);
  return (
    <footer>
      <span className="imgcls-relabel-anchor">
        <Button aria-expanded={choosing} onClick={() => onChoosing(!choosing)}>
          Relabel… <Key>R</Key>
        </Button>
        {choosing && (
          <RelabelChoice
            names={view.class_names}
            what="this image"
            suggested={item.predicted ?? undefined}
            onChoose={name => {
              corrections.relabel([item], name);
              onChoosing(false);
            }}
            onCancel={() => onChoosing(false)}
          />
        )}
      </span>
      <Button aria-pressed={draft?.excluded ?? false} onClick={() => corrections.exclude([item])}>
        Exclude <Key>X</Key>
      </Button>
      <Button disabled={corrections.count === 0} onClick={corrections.undo}>
        Undo <Key>U</Key>
      </Button>
      <span className="imgcls-key-list" aria-label="Keys of the classes">
        {keys.map(({ key, name }) => (
          <button
            key={key}
            type="button"
            title={`Relabel as ${name}`}
            aria-pressed={draft?.label === name}
            onClick={() => corrections.relabel([item], name)}
          >
            <Key>{key}</Key>
            {name !== key && <span className="imgcls-clip">{name}</span>}
          </button>
        ))}
      </span>
      <span className="imgcls-spacer" />
      <DraftMark draft={draft} />
    </footer>
  );
}

export function ImagePanel(props: Props) {
  const { id, view, item, place, total, corrections, onPlace, onClose } = props;
  const { data, error } = useQuery('image', item.image ? { id, image: item.image, split: item.split } : null);
  const [choosing, setChoosing] = useState(false);
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    panel.current?.focus();
    return () => before?.focus?.(); // the focus returns to where the panel was opened
  }, []);
  const detail = data?.image.image === item.image ? data : undefined;
  const go = (by: number) => {
    if (place + by >= 0 && place + by < total) onPlace(place + by);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if ((event.target as HTMLElement).matches('input:not([type=checkbox], [type=range]), select')) return;
    const key = event.key.toLowerCase();
    const range = (event.target as HTMLElement).matches('input[type=range]');
    if (key === 'escape') onClose();
    else if (key === 'j' || (key === 'arrowright' && !range)) go(1);
    else if (key === 'k' || (key === 'arrowleft' && !range)) go(-1);
    else if (key === 'r' && corrections) setChoosing(true);
    else if (
      !corrections ||
      !correctionOfKey(key, corrections, [item], classKeys(view, item.label, item.predicted))
    )
      return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <section
      className="imgcls-image-panel"
      role="dialog"
      aria-label={item.name}
      tabIndex={-1}
      data-lm-suppress-shortcuts="true"
      ref={panel}
      onKeyDown={onKey}
    >
      <Head {...{ item, place, total, onPlace, onClose }} />
      <div className="imgcls-image-body" tabIndex={-1}>
        <Problem>{error}</Problem>
        {!item.image && (
          <p className="imgcls-note">The run did not keep which file this was: it has no picture.</p>
        )}
        {detail?.problem && <p className="imgcls-note">{detail.problem}</p>}
        {item.image && (
          <div className="imgcls-image-top">
            <ModelPicture
              key={view.run_id}
              id={id}
              image={item.image}
              name={item.name}
              names={view.class_names}
              predicted={item.predicted}
              problem={detail?.problem ?? null}
            />
            {detail && <ImageFacts detail={detail} />}
          </div>
        )}
        {detail && (
          <>
            <BiographyPlot detail={detail} runId={id} />
            <NearestImages detail={detail} id={id} />
            <OtherRuns detail={detail} />
            {detail.notes.map(note => (
              <p key={note} className="imgcls-muted">
                {note}
              </p>
            ))}
          </>
        )}
      </div>
      {corrections && <Foot {...{ item, view, corrections, choosing }} onChoosing={setChoosing} />}
    </section>
  );
}
