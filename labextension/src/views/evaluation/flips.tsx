// What a run fixed and what it broke compared with its parent, with the images. It shows as soon as both are evaluated.
import { useEffect } from 'react';
import type { Flip, Flips as FlipsView, Run } from '../data/types';
import { useQuery } from '../data/use_query';
import { Thumbnail } from '../images/thumbnail';
import { count, percent, plural } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import '../ui/button.css';
import '../ui/layout.css';
import './flips.css';

/** A class, and how sure the model was of it where that was kept. */
const sure = (name: string, confidence: number | null): string =>
  confidence == null ? name : `${name} (${percent(confidence, 0)})`;

/** A p-value as it is printed, everywhere the same: p = 0.013, or below what is told. */
export const pText = (p: number): string =>
  p < 0.0001 ? 'p < 0.0001' : `p = ${p < 0.001 ? p.toFixed(4) : p.toFixed(3)}`;

function Side({
  id,
  tone,
  title,
  flips,
  total,
}: {
  id: string;
  tone: 'ok' | 'error';
  title: string;
  flips: readonly Flip[];
  total: number;
}) {
  return (
    <section aria-label={title}>
      <h4>
        <b data-tone={tone}>{count(total)}</b> {title}
      </h4>
      {total === 0 && <p className="imgcls-muted">none</p>}
      <ul tabIndex={flips.length > 0 ? 0 : undefined} aria-label={`Images ${title}`}>
        {flips.map(flip => (
          <li
            key={flip.name}
            title={`${flip.name}: true ${flip.label}, before ${sure(flip.before, flip.before_confidence)}, now ${sure(flip.after, flip.after_confidence)}`}
          >
            <Thumbnail of={{ kind: 'run', id, image: flip.image }} edge={56} alt={flip.name} />
            <span className="imgcls-clip">
              <s>{flip.before}</s> <b data-tone={tone}>{flip.after}</b>
            </span>
          </li>
        ))}
      </ul>
      {total > flips.length && (
        <p className="imgcls-muted">and {plural(total - flips.length, 'more', 'more')}</p>
      )}
    </section>
  );
}

export function FlipsCard({ flips }: { flips: FlipsView }) {
  const navigate = useNavigate();
  const { fixed_total, broke_total, p_value, relabelled } = flips;
  return (
    <section className="imgcls-card imgcls-flips" data-fixed={fixed_total} data-broke={broke_total}>
      <h3>
        <b data-tone="ok">{count(fixed_total)} fixed</b>, <b data-tone="error">{count(broke_total)} broken</b>
        <span className="imgcls-muted">
          {' '}
          of {plural(flips.images, 'image')} of {flips.split}/, compared with{' '}
          <button
            type="button"
            className="imgcls-plain"
            onClick={() => navigate({ view: 'run', id: flips.against })}
          >
            {flips.against_name}
          </button>
          {p_value != null && ` · ${pText(p_value)} (McNemar)`}
          {relabelled > 0 &&
            ` · ${plural(relabelled, 'label')} corrected between the two; both are judged by the labels of this run`}
        </span>
      </h3>
      <div>
        <Side id={flips.run_id} tone="ok" title="fixed" flips={flips.fixed} total={fixed_total} />
        <Side id={flips.run_id} tone="error" title="broken" flips={flips.broke} total={broke_total} />
      </div>
    </section>
  );
}

/** The comparison of a run with its parent: asked for again after each evaluation. */
export function Flips({ run }: { run: Run }) {
  const evaluated =
    run.best !== null || run.latest['metric/accuracy'] != null || run.latest['loss/val'] != null;
  const { data: parent } = useQuery('run', run.parent_id ? { id: run.parent_id } : null);
  const continued = parent !== undefined && parent.kind !== 'sweep'; // which only started it
  const { data, error, reload } = useQuery('flips', continued && evaluated ? { id: run.id } : null);
  const best = run.best ? `${run.best.epoch} ${run.best.value}` : '';
  useEffect(() => {
    if (best) reload();
  }, [best, run.state, reload]);
  if (!continued) return null;
  if (!evaluated)
    return (
      <p className="imgcls-muted">
        What it fixed and broke compared with its parent shows after its first epoch.
      </p>
    );
  if (data) return <FlipsCard flips={data} />;
  return error ? <p className="imgcls-muted">{error}</p> : null;
}
