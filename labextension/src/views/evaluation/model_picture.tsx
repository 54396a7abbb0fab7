// One image, large: as its file is, with the places that speak for a class (Grad-CAM), or as the model sees it.
import { useState } from 'react';
import type { PictureRequest } from '../data/asked';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import { usePicture } from '../images/use_picture';
import '../ui/toolbar.css';
import './filter_bar.css';
import './model_picture.css';

const MODES = [
  ['photo', 'image'],
  ['model', 'as the model sees it'],
  ['augmented', 'augmented'],
] as const;
type Mode = (typeof MODES)[number][0];
const SIZE = 1024;

interface Props {
  /** The run whose best model looks. */
  id: string;
  image: string;
  name: string;
  /** Classes in the order of the model's outputs. */
  names: readonly string[];
  /** The class that Grad-CAM shows at first. */
  predicted: string | null;
  /** Why there is no picture of the file. */
  problem: string | null;
}

/** A picture at its own sharpness: a small one shows its pixels. */
function Large({
  url,
  alt,
  over,
  opacity,
}: {
  url: string;
  alt: string;
  over: string | undefined;
  opacity: number;
}) {
  const [tiny, setTiny] = useState(false);
  return (
    <div className="imgcls-large" data-tiny={tiny || undefined}>
      <img
        src={url}
        alt={alt}
        onLoad={({ currentTarget: it }) => setTiny(it.naturalWidth * 2 < it.clientWidth)}
      />
      {over && <img className="imgcls-large-over" src={over} alt="" style={{ opacity }} />}
    </div>
  );
}

export function CamSwitch({ on, onChange }: { on: boolean; onChange: (on: boolean) => void }) {
  return (
    <label>
      <input type="checkbox" role="switch" checked={on} onChange={event => onChange(event.target.checked)} />
      Grad-CAM
    </label>
  );
}

function CamTools({
  names,
  chosen,
  opacity,
  onClass,
  onOpacity,
}: {
  names: readonly string[];
  chosen: string | null;
  opacity: number;
  onClass: (name: string) => void;
  onOpacity: (opacity: number) => void;
}) {
  return (
    <>
      <select
        className="imgcls-small imgcls-cam-class"
        aria-label="Class that Grad-CAM explains"
        value={chosen ?? ''}
        onChange={event => onClass(event.target.value)}
      >
        {names.map(name => (
          <option key={name}>{name}</option>
        ))}
      </select>
      <label>
        opacity
        <input
          type="range"
          min={0}
          max={1}
          step={0.05}
          value={opacity}
          onChange={event => onOpacity(Number(event.target.value))}
        />
        <span className="imgcls-num">{Math.round(opacity * 100)} %</span>
      </label>
    </>
  );
}

export function ModelPicture({ id, image, name, names, predicted, problem }: Props) {
  const [mode, setMode] = useState<Mode>('photo');
  const [seed, setSeed] = useState(0);
  const [cam, setCam] = useState(false);
  const [chosen, setChosen] = useState<string | null>(null);
  const [opacity, setOpacity] = useState(0.55);
  const explained = chosen ?? predicted ?? names[0] ?? null;
  const request: PictureRequest =
    mode === 'photo'
      ? { kind: 'run', id, image, size: SIZE }
      : { kind: 'input', id, image, augmented: mode === 'augmented', seed };
  const number = explained === null ? -1 : names.indexOf(explained);
  const picture = usePicture(problem ? null : request);
  const heat = usePicture(
    cam && !problem && mode === 'photo'
      ? { kind: 'cam', id, image, size: SIZE, ...(number >= 0 && { class: number }) }
      : null,
  );
  return (
    <div className="imgcls-model-picture">
      <div className="imgcls-picture-frame" aria-busy={!picture.url && !picture.error}>
        {picture.url ? (
          <Large
            url={picture.url}
            alt={name}
            over={cam && mode === 'photo' ? heat.url : undefined}
            opacity={opacity}
          />
        ) : (
          <p className="imgcls-muted">{problem ?? picture.error ?? 'Reading the image…'}</p>
        )}
      </div>
      <div className="imgcls-tools">
        <div className="imgcls-segments" role="group" aria-label="What is shown of the image">
          {MODES.map(([value, text]) => (
            <button key={value} type="button" aria-pressed={mode === value} onClick={() => setMode(value)}>
              {text}
            </button>
          ))}
        </div>
        {mode === 'augmented' && (
          <Button onClick={() => setSeed(n => n + 1)} title="Augment with another seed">
            seed {seed} ↻
          </Button>
        )}
        {mode === 'photo' && (
          <>
            <CamSwitch on={cam} onChange={setCam} />
            {cam && (
              <CamTools
                names={names}
                chosen={explained}
                opacity={opacity}
                onClass={setChosen}
                onOpacity={setOpacity}
              />
            )}
          </>
        )}
        {cam && mode === 'photo' && !problem && !heat.url && !heat.error && (
          <span className="imgcls-muted">the model looks…</span>
        )}
      </div>
      {cam && <Problem>{heat.error}</Problem>}
    </div>
  );
}
