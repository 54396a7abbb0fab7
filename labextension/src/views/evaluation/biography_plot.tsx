// The probability of an image's class over the epochs of a run and its parents; when it was learnt and lost.
import type { ImageDetail } from '../data/types';
import { percent } from '../ui/format';
import { FractionPlot } from '../ui/fraction_plot';
import { curvesOf, epochTicks, storyOf, stretchesOf, turnsOf } from './biography';
import '../ui/layout.css';
import './biography_plot.css';

const MOST_NAMED = 6; // turns whose labels still have space

export function BiographyPlot({ detail, runId }: { detail: ImageDetail; runId: string }) {
  const { biography, image } = detail;
  if (biography.length === 0)
    return <p className="imgcls-muted">The run kept nothing of this image by epoch.</p>;
  const last = Math.max(1, biography.length - 1);
  const turns = turnsOf(biography);
  const left = (at: number) => `${(at / last) * 100}%`;
  const fromParents = biography.some(entry => entry.run_id !== runId);
  const end = biography[biography.length - 1]!;
  return (
    <section>
      <h3 className="imgcls-card-head">
        <span>
          Biography <span className="imgcls-muted">· probability of “{image.label}” over the epochs</span>
        </span>
        <span className="imgcls-muted">{storyOf(biography)}</span>
      </h3>
      <div className="imgcls-biography">
        <FractionPlot
          title={`Probability of ${image.label} by epoch: ${biography
            .map(
              entry =>
                `${entry.epoch}: ${entry.label_prob == null ? 'not kept' : percent(entry.label_prob, 0)}`,
            )
            .join(', ')}`}
          curves={curvesOf(biography, runId)}
          x={[0, last]}
          xTicks={epochTicks(biography)}
          height={104}
          overlay={
            <>
              {turns.map(({ at, epoch, right }) => (
                <i
                  key={at}
                  className="imgcls-turn"
                  data-right={right || undefined}
                  style={{ left: left(at - 0.5) }}
                >
                  {turns.length <= MOST_NAMED && (
                    <span>
                      {right ? 'learnt' : 'lost'} {epoch}
                    </span>
                  )}
                </i>
              ))}
              {stretchesOf(biography).map(({ from, to, right }) => (
                <i
                  key={from}
                  className="imgcls-stretch"
                  data-right={right || undefined}
                  style={{ left: left(from), width: `${((to - from) / last) * 100}%` }}
                />
              ))}
              {end.label_prob != null && (
                <i
                  className="imgcls-biography-end"
                  style={{ left: left(biography.length - 1), top: `${(1 - end.label_prob) * 100}%` }}
                  title={percent(end.label_prob)}
                />
              )}
            </>
          }
        />
      </div>
      <ul className="imgcls-biography-keys">
        {fromParents && (
          <li>
            <i style={{ background: 'var(--imgcls-text-muted)' }} /> from the parent
          </li>
        )}
        <li>
          <i style={{ background: 'var(--imgcls-series-1)' }} /> this run
        </li>
        <li>
          <i style={{ background: 'var(--imgcls-ok)' }} /> right
        </li>
        <li>
          <i style={{ background: 'var(--imgcls-error)' }} /> wrong
        </li>
      </ul>
    </section>
  );
}
