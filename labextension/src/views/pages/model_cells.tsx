// What a row of the registry of models shows: what the model is, where its files are, where it came from, what used it.
import type { Model } from '../data/types';
import { FIRST_VIEW } from '../runs/use_run_list';
import { bytes, count, leaf } from '../ui/format';
import { placeText, sizesText } from '../ui/model_facts';
import { useNavigate } from '../ui/navigation';
import { PathText } from '../ui/path_text';
import '../ui/button.css';

/** "apache-2.0 of tiny-resnet": the licence, and whose it is where that is another model. */
const licenceText = ({ licence, licence_of, place }: Model['facts']): string => {
  if (!licence) return place === 'hub' ? '' : 'no licence named';
  return licence_of ? `${licence}, as ${leaf(licence_of)}` : licence;
};

/** Architecture and sizes, licence, bytes. */
export function ModelKind({ model: { facts, load_pretrained: pretrained } }: { model: Model }) {
  const licence = licenceText(facts);
  const foot = [licence, facts.size ? bytes(facts.size) : ''].filter(Boolean).join(' · ');
  const of = facts.licence_of && `The licence of ${facts.licence_of}, from which it was made`;
  return (
    <>
      {facts.architecture || (facts.place === 'hub' ? '–' : '')}
      <div className="imgcls-muted">{sizesText(facts)}</div>
      <div className="imgcls-muted" title={of || undefined}>
        {foot}
      </div>
      {!pretrained && <div className="imgcls-muted">starts from random weights</div>}
    </>
  );
}

/** A model by the end of its path or hub id; the whole of it where the pointer is. */
export const ModelName = ({ flavour }: { flavour: string }) => (
  <span title={flavour || undefined}>{leaf(flavour) || '–'}</span>
);

/** The hub id or folder, and whether its files are here; of a run's checkpoint that run. */
export function ModelOrigin({ model: { flavour, revision, facts, made_by: made } }: { model: Model }) {
  const navigate = useNavigate();
  return (
    <>
      {made ? (
        <span>
          {made.epoch == null ? `${made.checkpoint} of ` : `epoch ${made.epoch} of `}
          <button
            type="button"
            className="imgcls-plain"
            title={flavour}
            onClick={() => navigate({ view: 'run', id: made.run_id })}
          >
            {made.run}
          </button>
        </span>
      ) : (
        <PathText short path={flavour} />
      )}
      <div className="imgcls-muted">
        {placeText(facts)}
        {revision && ` · revision ${revision}`}
      </div>
    </>
  );
}

/** How many runs began with it; they open as a list. */
export function ModelRuns({ model: { flavour, runs, name } }: { model: Model }) {
  const navigate = useNavigate();
  if (runs === 0) return <>–</>;
  const where = `model="${flavour.replaceAll('"', '\\"')}"`;
  return (
    <button
      type="button"
      className="imgcls-plain"
      title={`The runs that began with ${name}`}
      onClick={() => navigate({ view: 'runs', list: { ...FIRST_VIEW, where } })}
    >
      {count(runs)}
    </button>
  );
}
