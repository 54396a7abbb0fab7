// The training images whose features lie nearest to those of an image.
import type { ImageDetail } from '../data/types';
import { Thumbnail } from '../images/thumbnail';
import '../ui/layout.css';
import './nearest_images.css';

/** How many of the neighbours have the class that the model predicts. */
function agreement({ nearest, image }: ImageDetail): string {
  const wanted = image.predicted ?? image.label;
  const same = nearest.filter(item => item.label === wanted).length;
  return `${same} of ${nearest.length} ${same === 1 ? 'is' : 'are'} labelled ${wanted}`;
}

export function NearestImages({ detail, id }: { detail: ImageDetail; id: string }) {
  const { nearest, nearest_by, image } = detail;
  if (nearest.length === 0) return null;
  return (
    <section>
      <h3 className="imgcls-card-head">
        <span>
          Nearest training images <span className="imgcls-muted">· by the features of {nearest_by}</span>
        </span>
        <span className="imgcls-muted">{agreement(detail)}</span>
      </h3>
      <ul className="imgcls-nearest">
        {nearest.map(item => (
          <li key={`${item.image} ${item.name}`} title={item.name}>
            <Thumbnail of={{ kind: 'run', id, image: item.image }} edge={92} alt={item.name} />
            <span>
              <span className="imgcls-clip" data-tone={item.label === image.label ? 'ok' : 'error'}>
                {item.label}
              </span>
              <span className="imgcls-muted imgcls-num">{item.similarity.toFixed(2)}</span>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
