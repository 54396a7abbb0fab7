// The views that the user has saved, in the head of the page of runs. A click opens one; what was changed since is said,
// and saved or taken back. By keys: the arrows go from view to view, F2 renames, Delete deletes.
import { useCallback, useMemo, useRef, useState, type KeyboardEvent, type Ref } from 'react';
import type { ListView } from '../data/run_rows';
import type { SavedView } from '../data/types';
import { useSource } from '../data/source';
import { usePaced } from '../data/use_paced';
import { useAction, useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { useFocusBack } from '../ui/focus_back';
import { count, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { MiddleText } from '../ui/middle_text';
import { Popover } from '../ui/popover';
import { InlineEdit } from './inline_edit';
import { addView, deleteView, isChanged, listOf, renameView, replaceView } from './saved_views';
import type { RunActions } from './use_run_actions';
import '../ui/inputs.css';
import './view_bar.css';

interface Props {
  view: ListView;
  /** The list of somebody who has opened no view. */
  first: ListView;
  onView: (view: ListView) => void;
  actions: RunActions;
  /** Runs that there are, and that the list shows; undefined: not known yet. */
  all: number | undefined;
  shown: number | undefined;
  /** Another text: a run came, went or changed its state. */
  runs: string;
}

const RECOUNT = 5000; // ms at least from one count to the next

/** How many runs each view finds, counted again when runs have changed; `isShown`: the rows are there, which come first. */
function useNumbers(
  views: readonly SavedView[],
  runs: string,
  isShown: boolean,
): ReadonlyMap<number, number> {
  const { data, reload } = useQuery('viewCounts', views.length > 0 && isShown ? {} : null);
  const counted = useRef(runs);
  const recount = useCallback(() => {
    if (counted.current !== runs) reload();
    counted.current = runs;
  }, [runs, reload]);
  usePaced(recount, RECOUNT);
  return useMemo(
    () => new Map(data?.flatMap(({ id, runs: number }) => (number === null ? [] : [[id, number] as const]))),
    [data],
  );
}

export function ViewBar({ view, first, onView, actions, all, shown, runs }: Props) {
  const { data: views = [], error } = useQuery('views', {});
  const numbers = useNumbers(views, runs, shown !== undefined);
  const [renaming, setRenaming] = useState<number | null>(null);
  const focus = useFocusBack();
  const latest = useRef(view);
  latest.current = view;
  const mark = (saved?: number) => onView({ ...latest.current, saved });
  const open = views.find(each => each.id === view.saved);
  const changed = open !== undefined && isChanged(view, open);
  const remove = (saved: SavedView) => {
    const isOpen = saved.id === latest.current.saved;
    if (isOpen) mark();
    actions.act(source => deleteView(source, saved, again => isOpen && mark(again.id)));
  };
  const rename = (saved: SavedView, name: string) => {
    if (name) actions.act(source => renameView(source, saved, name));
  };
  return (
    <>
      {views.length > 0 && (
        <div role="toolbar" aria-label="Saved views" className="imgcls-views" onKeyDown={moveFocus}>
          <Chip
            name="All"
            number={all}
            open={open === undefined}
            stop={open === undefined}
            onOpen={() => onView(first)}
          />
          {views.map(saved =>
            renaming === saved.id ? (
              <InlineEdit
                key={saved.id}
                label={`Name of the view ${saved.name}`}
                value={saved.name}
                onSave={name => rename(saved, name)}
                onDone={byKey => {
                  if (byKey) focus.to(String(saved.id));
                  setRenaming(null);
                }}
              />
            ) : (
              <span key={saved.id} className="imgcls-views-one">
                <Chip
                  chip={focus.ref(String(saved.id))}
                  name={saved.name}
                  number={saved === open ? shown : numbers.get(saved.id)}
                  open={saved === open}
                  stop={saved === open}
                  onOpen={() => onView(listOf(saved))}
                  onRename={() => setRenaming(saved.id)}
                  onDelete={() => remove(saved)}
                />
                {saved === open && (
                  <ViewMenu
                    saved={saved}
                    onRename={() => setRenaming(saved.id)}
                    onDelete={() => remove(saved)}
                  />
                )}
              </span>
            ),
          )}
        </div>
      )}
      <Problem>{error}</Problem>
      <span className="imgcls-views-changed">
        {changed && (
          <>
            <span className="imgcls-muted" role="status">
              view changed
            </span>
            <button type="button" className="imgcls-plain" onClick={() => onView(listOf(open))}>
              Revert
            </button>
            <Button
              disabled={actions.busy}
              title={`Keep it as “${open.name}”`}
              onClick={() => actions.act(source => replaceView(source, open, latest.current))}
            >
              Save
            </Button>
          </>
        )}
        {(!open || changed) && (
          <SaveAs label={open ? 'Save as…' : 'Save this view'} view={view} onSaved={({ id }) => mark(id)} />
        )}
      </span>
    </>
  );
}

/** Left, Right, Home and End go from view to view. */
function moveFocus(event: KeyboardEvent<HTMLElement>): void {
  const chips = [...event.currentTarget.querySelectorAll<HTMLElement>('.imgcls-view')];
  const at = chips.indexOf(event.target as HTMLElement);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: chips.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  chips[(to + chips.length) % chips.length]!.focus();
}

interface ChipProps {
  chip?: Ref<HTMLButtonElement>;
  name: string;
  /** Runs of it, where they are known. */
  number: number | undefined;
  open: boolean;
  /** Where Tab stops. */
  stop: boolean;
  onOpen: () => void;
  onRename?: () => void;
  onDelete?: () => void;
}

function Chip({ chip, name, number, open, stop, onOpen, onRename, onDelete }: ChipProps) {
  const keyDown = (event: KeyboardEvent) => {
    const does = { F2: onRename, Delete: onDelete }[event.key];
    if (!does) return;
    event.preventDefault();
    event.stopPropagation();
    does();
  };
  return (
    <button
      ref={chip}
      type="button"
      className="imgcls-view"
      aria-label={number === undefined ? name : `${name}, ${plural(number, 'run')}`}
      aria-pressed={open}
      tabIndex={stop ? 0 : -1}
      title={onRename ? `${name} (F2 renames, Delete deletes)` : 'All runs that are not archived'}
      onClick={onOpen}
      onKeyDown={keyDown}
      onDoubleClick={onRename}
    >
      <MiddleText named text={name} />
      {number !== undefined && <span className="imgcls-muted imgcls-num">{count(number)}</span>}
    </button>
  );
}

function ViewMenu({
  saved,
  onRename,
  onDelete,
}: {
  saved: SavedView;
  onRename: () => void;
  onDelete: () => void;
}) {
  const item = (text: string, act: () => void, close: () => void) => (
    <button
      type="button"
      className="imgcls-popover-item"
      onClick={() => {
        close();
        act();
      }}
    >
      {text}
    </button>
  );
  return (
    <Popover
      plain
      label={
        <span role="img" aria-label={`Menu of the view ${saved.name}`}>
          ⋯
        </span>
      }
      title={`The view ${saved.name}`}
    >
      {close => (
        <div className="imgcls-views-menu">
          {item('Rename…', onRename, close)}
          {item('Delete', onDelete, close)}
        </div>
      )}
    </Popover>
  );
}

interface SaveProps {
  label: string;
  view: ListView;
  onSaved: (saved: SavedView) => void;
}

function SaveAs({ label, view, onSaved }: SaveProps) {
  return (
    <Popover plain end label={label} title="Save what the table shows">
      {close => (
        <SaveForm
          view={view}
          onSaved={saved => {
            close();
            onSaved(saved);
          }}
        />
      )}
    </Popover>
  );
}

function SaveForm({ view, onSaved }: Omit<SaveProps, 'label'>) {
  const source = useSource();
  const [name, setName] = useState('');
  const { busy, error, act } = useAction();
  return (
    <form
      className="imgcls-popover-form"
      onSubmit={event => {
        event.preventDefault();
        if (name.trim())
          void act('save', () => addView(source, name.trim(), view).then(saved => onSaved(saved)));
      }}
    >
      <label>
        Name of the view
        <input value={name} placeholder="Best of last week" onChange={event => setName(event.target.value)} />
      </label>
      <p className="imgcls-note">It keeps filters, columns, order and folding. Nobody else sees it.</p>
      <Problem>{error}</Problem>
      <div>
        <Button primary type="submit" busy={busy !== null} disabled={!name.trim()}>
          Save view
        </Button>
      </div>
    </form>
  );
}
