// The card of the confusion matrix: a table, a picture with the most confused pairs, or those pairs alone.
import type { Evaluation } from '../data/types';
import { count } from '../ui/format';
import { CANVAS_CLASSES, TABLE_CLASSES, rightAndWrong } from './confusion';
import { ConfusedPairs } from './confused_pairs';
import { ConfusionCanvas } from './confusion_canvas';
import { ConfusionTable } from './confusion_table';
import '../ui/layout.css';
import './confusion_card.css';

interface Props {
  view: Evaluation;
  label: string | undefined;
  predicted: string | undefined;
  onCell: (label: string, predicted: string) => void;
  onClass: (label: string) => void;
}

export function ConfusionCard(props: Props) {
  const { view } = props;
  const classes = view.class_names.length;
  const { right, wrong } = rightAndWrong(view);
  return (
    <section className="imgcls-card" aria-label="Confusion">
      <h3 className="imgcls-card-head">
        <span>
          Confusion{' '}
          <span className="imgcls-muted imgcls-num">
            · {count(right)} right, {count(wrong)} wrong
          </span>
        </span>
        {classes <= TABLE_CLASSES && <span className="imgcls-muted">predicted →</span>}
      </h3>
      {classes <= TABLE_CLASSES ? (
        <ConfusionTable {...props} />
      ) : (
        <div className={classes <= CANVAS_CLASSES ? 'imgcls-confusion-many' : undefined}>
          {classes <= CANVAS_CLASSES && <ConfusionCanvas {...props} />}
          <ConfusedPairs {...props} />
        </div>
      )}
    </section>
  );
}
