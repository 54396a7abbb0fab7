// What a run says of one image in words and numbers, and what other runs and training images say.
import type { ImageDetail } from '../data/types';
import { bytes, formatNumber, percent } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { TopClasses } from './top_classes';
import { MiddleText } from '../ui/middle_text';
import '../ui/table.css';
import '../ui/layout.css';
import './image_facts.css';

/** The label's probability less the largest of the others, in points of per cent. */
export function marginOf({ image, top }: ImageDetail): number | null {
  const other = top.find(item => item.name !== image.label);
  return image.label_prob == null || !other ? null : (image.label_prob - other.prob) * 100;
}

const signed = (points: number): string =>
  `${points < 0 ? '−' : '+'}${Math.abs(points).toFixed(Math.abs(points) < 10 ? 1 : 0)} points`;

/** What a newer revision of the data set makes of the image; null: nothing. */
export function revised({ revision }: ImageDetail): string | null {
  if (!revision) return null;
  const which = `v${String(revision.number)}`;
  return revision.excluded ? `${which} excludes it` : `${which} says “${String(revision.label)}”`;
}

export function ImageFacts({ detail }: { detail: ImageDetail }) {
  const { image, top, width, height, size } = detail;
  const margin = marginOf(detail);
  const wrong = image.correct === false;
  const newer = revised(detail);
  return (
    <div className="imgcls-image-facts">
      <dl className="imgcls-image-verdict">
        <dt>true</dt>
        <dd className="imgcls-clip" data-tone="ok">
          {image.label}
        </dd>
        <dt>predicted</dt>
        <dd className="imgcls-clip" data-tone={image.predicted === null ? undefined : wrong ? 'error' : 'ok'}>
          {image.predicted ?? 'not kept'}
        </dd>
      </dl>
      {top.length > 0 && (
        <>
          <h3>Top {top.length}</h3>
          <TopClasses top={top} label={image.label} />
        </>
      )}
      <dl className="imgcls-image-numbers">
        <dt>loss</dt>
        <dd>{formatNumber(image.loss)}</dd>
        {image.mean == null ? (
          <>
            <dt>margin</dt>
            <dd>{margin == null ? '–' : signed(margin)}</dd>
          </>
        ) : (
          <>
            <dt>probability of its label</dt>
            <dd title="mean and spread over the epochs">
              {percent(image.mean, 0)} ± {percent(image.spread ?? 0, 0)}
              {image.group && `, ${image.group}`}
            </dd>
          </>
        )}
        {width > 0 && (
          <>
            <dt>file</dt>
            <dd>
              {width} × {height} · {bytes(size)}
            </dd>
          </>
        )}
        {newer && (
          <>
            <dt>revision</dt>
            <dd data-tone="warn">{newer}</dd>
          </>
        )}
      </dl>
    </div>
  );
}

/** The same image in other runs of the data set. */
export function OtherRuns({ detail }: { detail: ImageDetail }) {
  const navigate = useNavigate();
  const { others } = detail;
  if (others.length === 0) return null;
  return (
    <section>
      <h3 className="imgcls-card-head">
        <span>The same image in other runs</span>
        <span className="imgcls-muted">
          right in {others.filter(run => run.correct).length} of {others.length}
        </span>
      </h3>
      <ul className="imgcls-other-runs">
        {others.map(run => (
          <li key={run.run_id}>
            <button
              type="button"
              title={`${run.name}: ${run.predicted}${run.correct ? '' : `, true ${run.label}`}`}
              onClick={() => navigate({ view: 'run', id: run.run_id })}
            >
              <MiddleText text={run.relation ? `${run.name}, ${run.relation}` : run.name} />
              <span>
                <b data-tone={run.correct ? 'ok' : 'error'}>{run.correct ? 'right' : 'wrong'}</b>{' '}
                {run.confidence != null && percent(run.confidence, 0)}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
