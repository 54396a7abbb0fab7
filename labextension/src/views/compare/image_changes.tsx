// Which images the second of two runs trained or was judged on that the first did not, and which had another label.
import type { ChangedImage, Comparison, ImageChanges } from '../data/types';
import { useQuery } from '../data/use_query';
import { Thumbnail } from '../images/thumbnail';
import { count, plural } from '../ui/format';
import '../ui/layout.css';
import './image_changes.css';

type Kind = 'added' | 'removed' | 'relabelled' | 'moved';

const KINDS: readonly Kind[] = ['added', 'removed', 'relabelled', 'moved'];

/** What is said below a picture: the label, or what it was and what it is. */
function Caption({ kind, image }: { kind: Kind; image: ChangedImage }) {
  if (kind === 'relabelled')
    return (
      <>
        <s>{image.before_label}</s> {image.label}
      </>
    );
  if (kind === 'moved')
    return (
      <>
        <s>{image.before_split}/</s> {image.split}/
      </>
    );
  return image.label;
}

function Images({ kind, changes }: { kind: Kind; changes: ImageChanges }) {
  const images = changes[kind];
  const total = changes[`${kind}_total`];
  if (total === 0) return null;
  const id = kind === 'removed' ? changes.against : changes.run_id;
  return (
    <section aria-label={kind}>
      <h4>
        <b>{count(total)}</b> {kind}
      </h4>
      <ul tabIndex={0} aria-label={`Images ${kind}`}>
        {images.map(image => (
          <li
            key={`${image.split}/${image.name}`}
            title={`${image.name}: ${image.label}, in ${image.split}/`}
          >
            <Thumbnail of={{ kind: 'run', id, image: image.image }} edge={56} alt={image.name} />
            <span className="imgcls-clip">
              <Caption kind={kind} image={image} />
            </span>
          </li>
        ))}
      </ul>
      {total > images.length && (
        <p className="imgcls-muted">and {plural(total - images.length, 'more', 'more')}</p>
      )}
    </section>
  );
}

/** Whether two trainings may have had other images: their data differs in anything. */
export const mayDiffer = ({ runs, differs }: Pick<Comparison, 'runs' | 'differs'>): boolean =>
  runs.length === 2 &&
  runs.every(run => run.kind === 'train' && run.best) &&
  differs.some(field => field.part === 'data');

export function ImageChangesCard({ comparison }: { comparison: Comparison }) {
  const [first, second] = comparison.runs;
  const asked = mayDiffer(comparison) ? { id: second!.id, against: first!.id } : null;
  const { data } = useQuery('imageChanges', asked);
  const kinds = data ? KINDS.filter(kind => data[`${kind}_total`] > 0) : [];
  if (!data || kinds.length === 0) return null;
  return (
    <section className="imgcls-card imgcls-image-changes" aria-label="Other images">
      <h3>
        Other images <span className="imgcls-muted">· {data.sentence}</span>
      </h3>
      <div>
        {kinds.map(kind => (
          <Images key={kind} kind={kind} changes={data} />
        ))}
      </div>
    </section>
  );
}
