// The bar of the chosen runs: what can be done with them, each only where it applies, with the reason where not.
import { useId, useState } from 'react';
import {
  appliesTo,
  edited,
  editRuns,
  resumeRuns,
  stateOf,
  stopRuns,
  tagsIn,
  type Applies,
  type RunAction,
} from './run_actions';
import type { Run } from '../data/types';
import { useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { count } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { Popover } from '../ui/popover';
import { DeleteMenu } from './delete_menu';
import type { RunActions } from './use_run_actions';
import '../ui/inputs.css';
import './chosen_bar.css';

interface Props {
  runs: readonly Run[];
  /** Tags that runs have, to choose of. */
  tags: readonly string[];
  actions: RunActions;
  onClear: () => void;
}

/** "Stop", or "Stop 2" where it applies to some of them alone. */
const labelled = (word: string, { runs }: Applies, all: number): string =>
  runs.length > 0 && runs.length < all ? `${word} ${count(runs.length)}` : word;

export function ChosenBar({ runs, tags, actions, onClear }: Props) {
  const navigate = useNavigate();
  const applies = (action: RunAction) => appliesTo(action, runs);
  const { busy, act } = actions;
  const press = (word: string, action: RunAction, go: (some: Run[]) => void, primary = false) => {
    const found = applies(action);
    return (
      <Button
        primary={primary}
        disabled={found.reason !== null || busy}
        title={found.reason ?? undefined}
        onClick={() => go(found.runs)}
      >
        {labelled(word, found, runs.length)}
      </Button>
    );
  };
  const ids = (some: Run[]) => some.map(run => run.id);
  const restores = applies('archive').reason !== null && applies('restore').reason === null;
  return (
    <section className="imgcls-chosen" aria-label="Chosen runs">
      <b className="imgcls-num">{count(runs.length)} selected:</b>
      {press(
        runs.length < 2 ? 'Compare' : `Compare ${count(applies('compare').runs.length || runs.length)}`,
        'compare',
        some => navigate({ view: 'compare', ids: ids(some) }),
        true,
      )}
      {press('TensorBoard', 'tensorboard', some => navigate({ view: 'tensorboard', run_ids: ids(some) }))}
      {press('Stop', 'stop', some => act(source => stopRuns(source, some)))}
      {press('Resume', 'resume', some => act(source => resumeRuns(source, some)))}
      {press('Clone…', 'clone', some => navigate({ view: 'new-run', from: some[0]!.id }))}
      <TagMenu runs={applies('tag')} known={tags} actions={actions} />
      <MoveMenu runs={applies('move')} actions={actions} />
      {restores
        ? press('Put back', 'restore', some =>
            act(source => editRuns(source, some, { archived: false }, edited.restore)),
          )
        : press('Archive', 'archive', some =>
            act(source => editRuns(source, some, { archived: true }, edited.archive)),
          )}
      <DeleteMenu runs={applies('delete')} chosen={runs} actions={actions} />
      <span className="imgcls-chosen-end">
        <button type="button" className="imgcls-plain" onClick={onClear}>
          clear
        </button>
        <span className="imgcls-muted">{stateOf(runs)}</span>
      </span>
    </section>
  );
}

interface MenuProps {
  runs: Applies;
  actions: RunActions;
}

function TagMenu({ runs: { runs, reason }, known, actions }: MenuProps & { known: readonly string[] }) {
  const id = useId();
  const [text, setText] = useState('');
  const have = [...new Set(runs.flatMap(run => run.tags ?? []))].sort();
  const add = (close: () => void) => {
    const wanted = tagsIn(text);
    if (wanted.length === 0) return;
    setText('');
    close();
    actions.act(source => editRuns(source, runs, { add_tags: wanted }, edited.tag(wanted.join(', '))));
  };
  return (
    <Popover up label="Tag…" title="Tag the chosen runs" reason={reason}>
      {close => (
        <form
          className="imgcls-popover-form"
          onSubmit={event => {
            event.preventDefault();
            add(close);
          }}
        >
          <label>
            Add a tag
            <input
              value={text}
              list={id}
              placeholder="baseline, to-check"
              onChange={event => setText(event.target.value)}
            />
          </label>
          <datalist id={id}>
            {known.map(tag => (
              <option key={tag} value={tag} />
            ))}
          </datalist>
          {have.map(tag => (
            <span key={tag} className="imgcls-chosen-line">
              {tag}
              <button
                type="button"
                className="imgcls-plain"
                aria-label={`Take the tag ${tag} away`}
                onClick={() => {
                  close();
                  actions.act(source => editRuns(source, runs, { remove_tags: [tag] }, edited.untag(tag)));
                }}
              >
                remove
              </button>
            </span>
          ))}
          <div>
            <Button primary type="submit" disabled={tagsIn(text).length === 0}>
              Add
            </Button>
          </div>
        </form>
      )}
    </Popover>
  );
}

function MoveMenu({ runs: { runs, reason }, actions }: MenuProps) {
  const { data: projects } = useQuery('projects', {});
  return (
    <Popover up label="Move…" title="Move the chosen runs to a project" reason={reason}>
      {close => (
        <div className="imgcls-popover-form">
          <b>Move to the project</b>
          {(projects ?? []).map(project => (
            <button
              key={project.id}
              type="button"
              className="imgcls-popover-item"
              disabled={!project.may_change || runs.every(run => run.project_id === project.id)}
              onClick={() => {
                close();
                actions.act(source =>
                  editRuns(source, runs, { project_id: project.id }, edited.move(project.name)),
                );
              }}
            >
              {project.name}
            </button>
          ))}
        </div>
      )}
    </Popover>
  );
}
