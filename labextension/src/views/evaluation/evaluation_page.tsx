// The page of a run's evaluations: metrics, confusion with its images, thresholds, reliability, classes, one image.
// val/ and test/ stay apart: test/ is a choice of its own. What is chosen is kept by whoever shows the page.
import { useCallback } from 'react';
import { isActive, type Evaluation, type Run } from '../data/types';
import { usePages } from '../data/use_pages';
import { useQuery } from '../data/use_query';
import { useOnChange } from '../data/use_runs';
import { Problem } from '../ui/messages';
import { ClassCurves } from './class_curves';
import { ClassRows } from './class_rows';
import type { Corrections } from './corrections';
import { EvaluatedImages } from './evaluated_images';
import {
  evaluatedMark,
  evaluatedOf,
  ofCell,
  ofChoice,
  queryOf,
  type Choice,
  type EvaluationState,
  type ImageFilter,
} from './filter';
import { OpenImage } from './open_image';
import { Reliability } from './reliability';
import { TrainingImages } from './training_images';
import { Threshold, usualThreshold } from './threshold';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './evaluation_page.css';

export interface PageProps {
  run: Run;
  state: EvaluationState;
  onState: (part: Partial<EvaluationState>) => void;
  corrections: Corrections | null;
}

function ChoiceOf({
  view,
  value,
  onChange,
}: {
  view: Evaluation;
  value: Choice;
  onChange: (choice: Choice) => void;
}) {
  const { best_epoch: best } = view;
  const last = Math.max(...view.epochs);
  return (
    <label>
      evaluation of
      <select
        className="imgcls-small"
        value={String(value)}
        onChange={({ target: { value: text } }) =>
          onChange(text === 'best' || text === 'test' || text === 'train' ? text : Number(text))
        }
      >
        <option value="best">
          {best === null ? 'the best, on val/' : `the best, epoch ${best}, on val/`}
        </option>
        {view.has_test && <option value="test">the best, on test/</option>}
        {view.has_train && <option value="train">training images, as the steps saw them</option>}
        {[...view.epochs].reverse().map(epoch => (
          <option key={epoch} value={epoch}>
            epoch {epoch}
            {epoch === last ? ', the last' : ''}, on val/
          </option>
        ))}
      </select>
    </label>
  );
}

/** The cards below the images. */
function Cards({
  run,
  view,
  state,
  onState,
  onFilter,
}: Omit<PageProps, 'corrections'> & {
  view: Evaluation;
  onFilter: (filter: ImageFilter) => void;
}) {
  const { filter, choice } = state;
  const worst = [...view.classes].filter(row => row.f1 != null).sort((a, b) => a.f1! - b.f1!)[0];
  const shown = filter.label ?? worst?.name ?? view.class_names[0];
  const threshold = state.threshold ?? usualThreshold(view);
  return (
    <div className="imgcls-evaluation-cards">
      <section className="imgcls-card" aria-label="Threshold">
        <h3 className="imgcls-card-head">
          Threshold
          <span className="imgcls-muted">
            answer at confidence ≥ <b className="imgcls-num">{threshold.toFixed(2)}</b>
          </span>
        </h3>
        <Threshold view={view} threshold={threshold} onChange={value => onState({ threshold: value })} />
      </section>
      <section className="imgcls-card" aria-label="Reliability">
        <h3>Reliability</h3>
        <Reliability view={view} />
      </section>
      <section className="imgcls-card imgcls-evaluation-classes" aria-label="Per class">
        <h3 className="imgcls-card-head">
          Per class <span className="imgcls-muted">a row filters the images</span>
        </h3>
        <ClassRows
          view={view}
          label={filter.label}
          predicted={filter.predicted}
          onClass={label => onFilter({ ...filter, label, predicted: undefined })}
          onCell={(label, predicted) => onFilter(ofCell(filter, label, predicted))}
        />
      </section>
      {shown !== undefined && (
        <section className="imgcls-card imgcls-evaluation-curves" aria-label="Curves of a class">
          <h3>
            Class {shown} <span className="imgcls-muted">against the rest</span>
          </h3>
          <ClassCurves id={run.id} choice={evaluatedOf(choice)} label={shown} />
        </section>
      )}
    </div>
  );
}

function Body({
  run,
  state,
  onState,
  corrections,
  view,
  version,
}: PageProps & { view: Evaluation; version: string }) {
  const { choice, filter, open } = state;
  const images = usePages('evaluated', queryOf(run.id, evaluatedOf(choice), filter));
  useOnChange(version, images.reload);
  const onFilter = useCallback((next: ImageFilter) => onState({ filter: next, open: null }), [onState]);
  const onOpen = (place: number | null) => onState({ open: place });
  return (
    <>
      <EvaluatedImages {...{ id: run.id, view, filter, onFilter, images, corrections, onOpen }} />
      <Cards {...{ run, view, state, onState, onFilter }} />
      <OpenImage {...{ id: run.id, view, images, open, onOpen, corrections }} />
    </>
  );
}

export function EvaluationPage(props: PageProps) {
  const { run, state, onState, corrections } = props;
  const ofTraining = state.choice === 'train';
  const version = evaluatedMark(run);
  const waits = isActive(run.state) && version.trim() === ''; // a run that ended says itself why there is none
  const asked = waits ? null : { id: run.id, ...ofChoice(evaluatedOf(state.choice)) };
  const { data: view, error, loading, reload } = useQuery('evaluation', asked);
  useOnChange(version, reload);
  if (!view)
    return error ? (
      <p className="imgcls-note">{error}</p>
    ) : (
      <p className="imgcls-muted">
        {waits ? 'There is an evaluation after the first epoch.' : 'Reading the evaluation…'}
      </p>
    );
  return (
    <div className="imgcls-evaluation imgcls-stack" aria-busy={loading}>
      <div className="imgcls-tools">
        <ChoiceOf view={view} value={state.choice} onChange={choice => onState({ choice, open: null })} />
        {!ofTraining && (
          <span className="imgcls-muted imgcls-num">
            {view.images.toLocaleString('en')} images of {view.split}/
          </span>
        )}
      </div>
      <Problem>{error}</Problem>
      {ofTraining ? (
        <TrainingImages
          {...{ view, version, corrections }}
          id={run.id}
          filter={state.training}
          onFilter={training => onState({ training, open: null })}
          open={state.open}
          onOpen={open => onState({ open })}
        />
      ) : (
        <Body {...props} view={view} version={version} />
      )}
    </div>
  );
}
