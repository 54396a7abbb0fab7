// Trying a run's best model on an image of one's own: dropped, pasted or chosen. Nothing of it is kept in the run.
import { useEffect, useRef, useState } from 'react';
import { messageOf, useSource } from '../data/source';
import type { TriedImage } from '../data/types';
import { useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { duration, percent } from '../ui/format';
import { Problem } from '../ui/messages';
import { TopClasses } from './top_classes';
import { usePicture } from '../images/use_picture';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './try_model.css';

const LARGEST = 20 * 1024 * 1024; // bytes that the server takes
const KEPT = 12; // answers on the page

interface Try {
  key: number;
  file: File;
  url: string;
  answer: TriedImage | null;
  error: string | null;
}

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
        {' '}
        {answer.threshold == null
          ? 'no class is likely enough'
          : `no class reaches ${percent(answer.threshold, 0)}: ${first.name} has ${percent(first.prob, 0)}`}
      </span>
    </p>
  );
}

function Tried({ item, names, onRemove }: { item: Try; names: readonly string[]; onRemove: () => void }) {
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
          <button
            type="button"
            className="imgcls-plain"
            aria-label={`Take ${item.file.name} away`}
            onClick={onRemove}
          >
            ✕
          </button>
        </h3>
        {!answer && !error && <p className="imgcls-muted">the model looks…</p>}
        <Problem>{problem}</Problem>
        {answer && !answer.error && (
          <>
            <Verdict answer={answer} />
            <TopClasses top={answer.top} />
            <p className="imgcls-tools">
              {answer.image && (
                <label>
                  <input
                    type="checkbox"
                    role="switch"
                    checked={cam}
                    onChange={event => setCam(event.target.checked)}
                  />
                  Grad-CAM
                </label>
              )}
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

/** The images that were tried, newest first, and how to try more. */
function useTries(id: string) {
  const source = useSource();
  const [tries, setTries] = useState<Try[]>([]);
  const latest = useRef(tries);
  latest.current = tries;
  const serial = useRef(0);
  useEffect(() => () => latest.current.forEach(item => URL.revokeObjectURL(item.url)), []);
  const answered = (key: number, part: Partial<Try>) =>
    setTries(was => was.map(item => (item.key === key ? { ...item, ...part } : item)));
  const add = (files: readonly File[]) => {
    const added = files.slice(0, KEPT).map((file): Try => ({
      key: ++serial.current,
      file,
      url: URL.createObjectURL(file),
      answer: null,
      error: file.size > LARGEST ? 'The file is larger than 20 MB. Make it smaller and try again.' : null,
    }));
    setTries(was => {
      const all = [...added, ...was];
      all.slice(KEPT).forEach(item => URL.revokeObjectURL(item.url));
      return all.slice(0, KEPT);
    });
    for (const { key, file, error } of added)
      if (!error)
        source.command('predict', { id, name: file.name, file }).then(
          answer => answered(key, { answer }),
          problem => answered(key, { error: messageOf(problem) }),
        );
  };
  const remove = (key: number) => {
    const gone = latest.current.find(item => item.key === key);
    if (gone) URL.revokeObjectURL(gone.url);
    setTries(was => was.filter(item => item.key !== key));
  };
  return { tries, add, remove };
}

export function TryModel({ id }: { id: string }) {
  const { data: view } = useQuery('evaluation', { id }); // for the order of the model's outputs
  const { tries, add, remove } = useTries(id);
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
            onRemove={() => remove(item.key)}
          />
        ))}
      </ul>
    </div>
  );
}
