// The reliability diagram: how often the model is right at each confidence, before and after its temperature.
import type { Evaluation, ReliabilityBin } from '../data/types';
import { percent, plural } from '../ui/format';
import { FractionPlot, type Curve } from '../ui/fraction_plot';
import { leaning } from './figures';
import './reliability.css';

const FEW = 30; // images of a bin that says little

function Bar({ bin }: { bin: ReliabilityBin }) {
  const { low, high, images, accuracy, confidence } = bin;
  if (accuracy == null || confidence == null || images === 0) return null;
  const [x, width] = [low * 1000 + 4, (high - low) * 1000 - 8];
  const bottom = Math.min(accuracy, confidence);
  const gap = Math.abs(accuracy - confidence);
  return (
    <g opacity={images < FEW ? 0.45 : 1}>
      <title>
        {`confidence ${percent(low, 0)} to ${percent(high, 0)}: ${plural(images, 'image')}, ${percent(accuracy)} right, mean confidence ${percent(confidence)}`}
      </title>
      <rect
        x={x}
        width={width}
        y={(1 - bottom) * 1000}
        height={bottom * 1000}
        className="imgcls-reliability-bar"
      />
      <rect
        x={x}
        width={width}
        y={(1 - bottom - gap) * 1000}
        height={gap * 1000}
        className={accuracy > confidence ? 'imgcls-reliability-unsure' : 'imgcls-reliability-sure'}
      />
    </g>
  );
}

/** How often a bin is right once the probabilities are calibrated, as a level line. */
function Calibrated({ bin }: { bin: ReliabilityBin }) {
  if (bin.accuracy == null || bin.images === 0) return null;
  const y = ((1 - bin.accuracy) * 1000).toFixed(1);
  return (
    <path
      d={`M${(bin.low * 1000).toFixed(1)} ${y}H${(bin.high * 1000).toFixed(1)}`}
      opacity={bin.images < FEW ? 0.45 : 1}
      className="imgcls-reliability-calibrated"
    />
  );
}

export function Reliability({ view }: { view: Evaluation }) {
  const curves: Curve[] = [
    { label: 'as sure as right', colour: 'text-muted', x: [0, 1], y: [0, 1], dash: true },
  ];
  const error = view.values['metric/calibration_error'] ?? view.values['test/calibration_error'];
  return (
    <div className="imgcls-reliability">
      <FractionPlot
        title="Fraction that is right, by confidence"
        curves={curves}
        xTicks={[
          { at: 0, text: '0' },
          { at: 0.5, text: '0.5' },
          { at: 1, text: '1' },
        ]}
        xTitle="confidence"
        height={150}
      >
        {view.reliability.map(bin => (
          <Bar key={bin.low} bin={bin} />
        ))}
        {view.calibrated.map(bin => (
          <Calibrated key={bin.low} bin={bin} />
        ))}
      </FractionPlot>
      <ul>
        <li>
          <i className="imgcls-reliability-bar" /> right
        </li>
        <li>
          <i className="imgcls-reliability-unsure" /> too unsure
        </li>
        <li>
          <i className="imgcls-reliability-sure" /> too sure
        </li>
        {view.calibrated.length > 0 && (
          <li>
            <i className="imgcls-reliability-line" /> calibrated
          </li>
        )}
      </ul>
      <p>
        {error != null && `Error ${percent(error)}: ${leaning(view)}.`}
        {view.temperature != null &&
          view.calibrated_error != null &&
          ` A temperature of ${view.temperature.toFixed(2)} makes it ${percent(view.calibrated_error)}.`}
      </p>
    </div>
  );
}
