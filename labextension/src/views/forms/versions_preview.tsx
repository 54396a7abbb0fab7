// What the model will see: an image of the data set as nine epochs would see it, drawn by the code that trains.
import { useState } from 'react';
import type { TrainConfig } from '../data/asked';
import { usePicture } from '../images/use_picture';
import type { Layout } from './config_form';
import '../ui/button.css';
import './fields.css';
import './versions_preview.css';

interface Props {
  layout: Layout;
  /** Id of the registered data set; without one there is nothing to draw. */
  dataset: number | undefined;
  config: TrainConfig;
  /** The config can be launched: only then is it drawn. */
  valid: boolean;
  /** The server has all that it needs for it; undefined: it is looking. */
  drawable: boolean | undefined;
}

/** The part of a config on which the picture depends, so that another learning rate draws nothing anew. */
function drawn(layout: Layout, config: TrainConfig): TrainConfig {
  const names = [...layout.fields.values()]
    .filter(field => field.group === 'data' && field.name !== 'data_revision')
    .map(field => field.name);
  return Object.fromEntries(
    [...names, 'model_flavour', 'revision', 'seed', 'plugins']
      .filter(name => name in config)
      .map(name => [name, config[name]]),
  );
}

export function VersionsPreview({ layout, dataset, config, valid, drawable }: Props) {
  const [number, setNumber] = useState(0);
  const [seed, setSeed] = useState(0);
  const ready = valid && drawable === true && dataset !== undefined;
  const picture = usePicture(
    ready
      ? { kind: 'versions', id: dataset, image: String(number), config: drawn(layout, config), number, seed }
      : null,
  );
  if (dataset === undefined) return null;
  return (
    <section aria-label="What the model will see">
      <h2>What the model will see</h2>
      <p className="imgcls-hint">
        an image in nine epochs, augmentation “{String(config.augmentation ?? '')}” ·{' '}
        <button type="button" className="imgcls-plain" onClick={() => setNumber(was => was + 1)}>
          other image
        </button>{' '}
        ·{' '}
        <button type="button" className="imgcls-plain" onClick={() => setSeed(was => was + 1)}>
          draw anew
        </button>
      </p>
      <div
        className="imgcls-versions-sheet"
        tabIndex={0}
        role="group"
        aria-label="Nine versions of an image. Right arrow: another image; R: draw anew."
        aria-keyshortcuts="ArrowRight ArrowLeft R"
        onKeyDown={event => {
          if (event.key === 'ArrowRight') setNumber(was => was + 1);
          else if (event.key === 'ArrowLeft') setNumber(was => Math.max(0, was - 1));
          else if (event.key.toLowerCase() === 'r') setSeed(was => was + 1);
          else return;
          event.preventDefault();
        }}
      >
        {picture.url ? (
          <img src={picture.url} alt={`Image ${number + 1} of the data set, augmented nine times`} />
        ) : (
          <p className="imgcls-hint" role={picture.error ? 'alert' : 'status'}>
            {picture.error ??
              (ready
                ? 'Drawing: the first time starts a process, some seconds…'
                : !valid
                  ? 'Not while something is wrong.'
                  : drawable === undefined
                    ? 'Looking at the data and the model…'
                    : 'Not drawn: the files of the model are not on this machine, or a plugin prepares the images.')}
          </p>
        )}
      </div>
    </section>
  );
}
