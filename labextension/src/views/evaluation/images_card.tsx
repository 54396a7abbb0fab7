// The images of a filter, in a grid beside the matrix: chosen by click or keys, corrected by keys, opened by Enter.
import { useMemo, useState, type KeyboardEvent } from 'react';
import type { EvaluatedImage, Evaluation } from '../data/types';
import type { Pages } from '../data/use_pages';
import { ImageGrid, type GridItem } from '../images/image_grid';
import { useSelection } from '../images/selection';
import { useAction } from '../data/use_query';
import { Button } from '../ui/button';
import { percent, plural } from '../ui/format';
import { Key } from '../ui/keys';
import { Problem } from '../ui/messages';
import { classKeys } from './class_keys';
import { correctionOfKey, draftText, type Correction, type Corrections } from './corrections';
import { DraftMark } from './draft_mark';
import { RelabelChoice } from './relabel_choice';
import '../ui/layout.css';
import './images_card.css';

interface Props {
  id: string;
  view: Evaluation;
  /** What the images are. */
  title: string;
  /** The class that all of them were taken for: they can be relabelled as it at once. */
  taken?: string;
  images: Pages<EvaluatedImage>;
  corrections: Corrections | null;
  onOpen?: (place: number) => void;
}

const nameOf = (item: EvaluatedImage): string => item.name;

/** The bar below a picture: the confidence; of a training image the mean probability of its label, and its spread. */
function meterOf({ confidence, mean, spread }: EvaluatedImage): { fraction: number | null; text: string } {
  if (mean == null) return { fraction: confidence, text: confidence === null ? '' : percent(confidence, 0) };
  return { fraction: mean, text: `${(mean * 100).toFixed(0)} ± ${percent(spread ?? 0, 0)}` };
}

/** What stands below a picture, as it is read aloud. */
function captionOf(item: EvaluatedImage, draft: Correction | undefined): string {
  const verdict = item.predicted === null ? item.label : `${item.label} → ${item.predicted}`;
  const more = draft ? draftText(draft) : meterOf(item).text;
  return `${verdict} ${more}`;
}

function Caption({ item, corrections }: { item: EvaluatedImage; corrections: Corrections | null }) {
  const draft = corrections?.of(item.image);
  const { correct } = item;
  const { fraction, text } = meterOf(item);
  return (
    <span className="imgcls-verdict-caption">
      <span className="imgcls-clip">
        <b>{item.label}</b>
        {item.predicted !== null && (
          <>
            {' '}
            <span className="imgcls-muted">→</span>{' '}
            <b data-tone={correct ? 'ok' : 'error'}>{item.predicted}</b>
          </>
        )}
      </span>{' '}
      {draft ? (
        <DraftMark draft={draft} />
      ) : (
        fraction !== null && (
          <>
            <i className="imgcls-meter">
              <i
                style={{
                  width: `${fraction * 100}%`,
                  background: `var(--imgcls-${correct === null ? 'brand' : correct ? 'ok' : 'error'})`,
                }}
              />
            </i>
            <span className="imgcls-muted imgcls-num">{text}</span>
          </>
        )
      )}
    </span>
  );
}

interface ToolsProps extends Pick<Props, 'view' | 'taken' | 'corrections'> {
  /** The images that a key would correct. */
  chosen: readonly EvaluatedImage[];
  total: number;
  /** `total` is that of the filter before. */
  loading: boolean;
  choosing: boolean;
  onChoosing: (choosing: boolean) => void;
  onAll: (label: string) => void;
}

/** What can be done with the chosen images, and with all images of a cell. */
function Tools({
  view,
  taken,
  corrections,
  chosen,
  total,
  loading,
  choosing,
  onChoosing,
  onAll,
}: ToolsProps) {
  if (!corrections) return null;
  const what = plural(chosen.length, 'image');
  return (
    <div className="imgcls-image-tools">
      <span className="imgcls-muted imgcls-num">{chosen.length > 1 ? `${what} chosen` : ''}</span>
      <span className="imgcls-relabel-anchor imgcls-relabel-below">
        <Button disabled={chosen.length === 0} aria-expanded={choosing} onClick={() => onChoosing(!choosing)}>
          Relabel… <Key>R</Key>
        </Button>
        {choosing && (
          <RelabelChoice
            names={view.class_names}
            what={what}
            suggested={chosen[0]?.predicted ?? undefined}
            onChoose={name => {
              corrections.relabel(chosen, name);
              onChoosing(false);
            }}
            onCancel={() => onChoosing(false)}
          />
        )}
      </span>
      <Button disabled={chosen.length === 0} onClick={() => corrections.exclude(chosen)}>
        Exclude <Key>X</Key>
      </Button>
      <Button disabled={corrections.count === 0} onClick={corrections.undo}>
        Undo <Key>U</Key>
      </Button>
      {taken !== undefined && total > 0 && !loading && (
        <Button onClick={() => onAll(taken)} title={`They are ${taken}: relabel all of them`}>
          Relabel all {total} as {taken}
        </Button>
      )}
    </div>
  );
}

const EDGE = 92;
const CAPTION = 36;

export function ImagesCard({ id, view, title, taken, images, corrections, onOpen }: Props) {
  const selection = useSelection(images, nameOf);
  const [choosing, setChoosing] = useState(false);
  const { error, act } = useAction();
  const total = images.total ?? 0;
  const chosen = useMemo(() => [...selection.chosen.values()], [selection.chosen]);
  const item = useMemo(
    (): GridItem<EvaluatedImage> => ({
      idOf: nameOf,
      nameOf: one => `${one.name}: ${captionOf(one, corrections?.of(one.image))}`,
      picture: one => (one.image ? { kind: 'run', id, image: one.image } : null),
      problem: one => (one.image ? null : 'The run did not keep which file this was.'),
      caption: one => <Caption item={one} corrections={corrections} />,
    }),
    [id, corrections],
  );
  const onKey = (event: KeyboardEvent, index: number) => {
    if (!corrections || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const focused = images.at(index);
    const of = chosen.length > 0 ? chosen : focused ? [focused] : [];
    const first = of[0];
    if (key === 'r' && first) {
      if (chosen.length === 0) selection.only(index);
      setChoosing(true);
    } else if (!correctionOfKey(key, corrections, of, classKeys(view, first?.label, first?.predicted)))
      return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <section className="imgcls-card imgcls-images-card" aria-label="Images">
      <h3 className="imgcls-card-head">
        <span>
          {title}{' '}
          {images.total !== undefined && (
            <span className="imgcls-muted imgcls-num">· {plural(total, 'image')}</span>
          )}
        </span>
        <Tools
          {...{ view, taken, corrections, chosen, total, choosing }}
          loading={images.loading}
          onChoosing={setChoosing}
          onAll={label =>
            void act('all', async () => corrections?.relabel(await images.range(0, total), label))
          }
        />
      </h3>
      <Problem>{error}</Problem>
      <ImageGrid
        label={`${title}, ${plural(total, 'image')}`}
        pages={images}
        item={item}
        selection={selection}
        edge={EDGE}
        captionHeight={CAPTION}
        empty="No image is like this."
        onKey={onKey}
        onOpen={onOpen}
      />
    </section>
  );
}
