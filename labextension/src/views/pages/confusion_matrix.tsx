// The confusion matrix of an evaluation: true classes down, predicted classes across.
import type { EpochReport } from '../data/types';
import '../ui/layout.css';
import './confusion_matrix.css';

/** The shade says which fraction of the true class a cell holds. */
export function ConfusionMatrix({ report }: { report: EpochReport }) {
  const matrix = report.confusion;
  if (!matrix) return <p className="imgcls-muted">The matrix of more than 200 classes is not kept.</p>;
  const names = report.classes.map(row => row.name);
  const wide = names.length > 24;
  return (
    <div className="imgcls-scroll">
      <table className={wide ? 'imgcls-confusion imgcls-confusion-small' : 'imgcls-confusion'}>
        <caption className="imgcls-sr">Confusion matrix: true classes down, predicted classes across</caption>
        <thead>
          <tr>
            <th className="imgcls-muted">true ↓ predicted →</th>
            {names.map(name => (
              <th key={name} scope="col" title={name}>
                <span>{name}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {matrix.map((row, i) => {
            const sum = row.reduce((total, n) => total + n, 0) || 1;
            return (
              <tr key={names[i]}>
                <th scope="row" className="imgcls-clip" title={names[i]}>
                  {names[i]}
                </th>
                {row.map((n, j) => (
                  <td
                    key={names[j]}
                    title={`${names[i]} taken for ${names[j]}: ${n} of ${sum}`}
                    style={{
                      background: n
                        ? `color-mix(in srgb, var(--imgcls-${i === j ? 'ok' : 'error'}) ${Math.round(8 + (52 * n) / sum)}%, transparent)`
                        : undefined,
                    }}
                  >
                    {wide || n === 0 ? '' : n}
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
