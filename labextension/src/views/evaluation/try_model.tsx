// Trying a run's best model on an image of one's own: dropped, pasted or chosen. Nothing of it is kept in the run.
import { useEffect, useRef, useState } from 'react';
import type { Inference, TriedImage } from '../data/types';
import { useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { duration, percent, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { CamSwitch } from './model_picture';
import { TopClasses } from './top_classes';
import { usePicture } from '../images/use_picture';
import { usePhase, useTries, type Try } from './tries';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './try_model.css';

const PHASES: Record<Inference['phase'], string> = {
  idle: 'sent to the model',
  starting: 'starting the process that holds the model',
  loading: 'starting: loading the model',
  answering: 'the model looks',
};

/** The images among files that were dropped, pasted or chosen. */
const imagesOf = (files: Iterable<File>): File[] =>
  [...files].filter(
    file => file.type.startsWith('image/') || /\.(jpe?g|png|webp|bmp|gif|tiff?)$/i.test(file.name),
  );

function Verdict({ answer }: { answer: TriedImage }) {
  const [first] = answer.top;
  if (!first) return null;
  if (!answer.abstains)
    return (
      <p className="imgcls-verdict">
        <b>{first.name}</b> {percent(first.prob, first.prob < 0.1 ? 1 : 0)}
      </p>
    );
  return (
    <p className="imgcls-verdict" data-tone="warn">
      <b>I do not know</b>
      <span className="imgcls-muted">
        {answer.threshold == null
          ? 'no class is likely enough'
          : `no class reaches ${percent(answer.threshold, 0)}: ${first.name} has ${percent(first.prob, 0)}`}
      </span>
    </p>
  );
}

/** What an image waits for. `before`: images that come first. */
function Waiting({
  phase,
  before,
  onCancel,
}: {
  phase: Inference | undefined;
  before: number;
  onCancel: () => void;
}) {
  const text = before > 0 ? `waits for ${plural(before, 'image')} before it` : PHASES[phase?.phase ?? 'idle'];
  const seconds = before === 0 && phase && phase.phase !== 'idle' ? Math.floor(phase.seconds) : 0;
  return (
    <p className="imgcls-tried-waiting">
      <span className="imgcls-muted imgcls-num" role="status">
        {text}
        {seconds > 0 ? `, ${seconds} s` : '…'}
      </span>
      <Button onClick={onCancel}>Cancel</Button>
    </p>
  );
}

interface TriedProps {
  item: Try;
  names: readonly string[];
  phase: Inference | undefined;
  /** Images that the model looks at before it. */
  before: number;
  onRemove: () => void;
}

function Tried({ item, names, phase, before, onRemove }: TriedProps) {
  const [cam, setCam] = useState(false);
  const { answer, error } = item;
  const number = answer?.top[0] ? names.indexOf(answer.top[0].name) : -1;
  const heat = usePicture(
    cam && answer?.image
      ? { kind: 'tried', image: answer.image, size: 512, ...(number >= 0 && { class: number }) }
      : null,
  );
  const problem = error ?? answer?.error;
  return (
    <li className="imgcls-card imgcls-tried" aria-busy={!answer && !error}>
      <div className="imgcls-tried-picture">
        <img src={item.url} alt={item.file.name} />
        {heat.url && <img className="imgcls-tried-heat" src={heat.url} alt="" />}
      </div>
      <div>
        <h3 className="imgcls-tried-head">
          <span className="imgcls-clip" title={item.file.name}>
            {item.file.name}
          </span>
          {(answer || error) && (
            <button
              type="button"
              className="imgcls-plain"
              aria-label={`Take ${item.file.name} away`}
              onClick={onRemove}
            >
              ✕
            </button>
          )}
        </h3>
        {!answer && !error && <Waiting {...{ phase, before }} onCancel={onRemove} />}
        <Problem>{problem}</Problem>
        {answer && !answer.error && (
          <>
            <Verdict answer={answer} />
            <TopClasses top={answer.top} />
            <p className="imgcls-tools">
              {answer.image && <CamSwitch on={cam} onChange={setCam} />}
              <span className="imgcls-muted imgcls-num">
                {answer.width} × {answer.height} · {duration(answer.seconds)}
              </span>
            </p>
            {cam && <Problem>{heat.error}</Problem>}
          </>
        )}
      </div>
    </li>
  );
}

export function TryModel({ id }: { id: string }) {
  const { data: view } = useQuery('evaluation', { id }); // for the order of the model's outputs
  const { tries, waiting, add, remove } = useTries(id);
  const phase = usePhase(waiting.length > 0);
  const [over, setOver] = useState(false);
  const [refused, setRefused] = useState<string | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const zone = useRef<HTMLDivElement>(null);
  const take = (files: Iterable<File>) => {
    const images = imagesOf(files);
    setRefused(images.length === 0 ? 'That was no image. Drop, paste or choose an image file.' : null);
    if (images.length > 0) add(images);
  };
  const taking = useRef(take);
  taking.current = take;
  useEffect(() => {
    // a paste goes to the document when nothing editable has the focus
    const stop = new AbortController();
    document.addEventListener(
      'paste',
      event => {
        const files = event.clipboardData?.files;
        const target = event.target as HTMLElement | null;
        const ours = target === document.body || zone.current?.closest('.imgcls')?.contains(target);
        if (!files?.length || !zone.current?.checkVisibility?.() || !ours) return;
        event.preventDefault();
        taking.current(files);
      },
      { signal: stop.signal },
    );
    return () => stop.abort();
  }, []);
  return (
    <div className="imgcls-stack">
      <div
        ref={zone}
        className="imgcls-drop"
        data-over={over || undefined}
        onDragOver={event => {
          if (![...event.dataTransfer.items].some(item => item.kind === 'file')) return;
          event.preventDefault();
          event.stopPropagation();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={event => {
          event.preventDefault();
          event.stopPropagation(); // JupyterLab would upload the file
          setOver(false);
          take(event.dataTransfer.files);
        }}
      >
        <p>
          Drop an image here, paste one (Ctrl+V), or{' '}
          <Button primary={tries.length === 0} onClick={() => input.current?.click()}>
            Choose images…
          </Button>
        </p>
        <p className="imgcls-muted">
          The best model of this run looks at it. The image stays with you: nothing of it is kept in the run.
        </p>
        <input
          ref={input}
          type="file"
          accept="image/*"
          multiple
          hidden
          aria-label="Images to try the model on"
          onChange={event => {
            take(event.target.files ?? []);
            event.target.value = '';
          }}
        />
      </div>
      <Problem>{refused}</Problem>
      <ul className="imgcls-tries" aria-live="polite">
        {tries.map(item => (
          <Tried
            key={item.key}
            item={item}
            names={view?.class_names ?? []}
            phase={phase}
            before={waiting.indexOf(item.key)}
            onRemove={() => remove(item.key)}
          />
        ))}
      </ul>
    </div>
  );
}
