// The tags of a run in the head of its page. Who may change the run edits them where they stand.
import { useState } from 'react';
import { mutate } from '../data/mutate';
import { runsStoreOf } from '../data/runs_store';
import { useSource } from '../data/source';
import type { Run } from '../data/types';
import { useAction } from '../data/use_query';
import { InlineEdit } from '../runs/inline_edit';
import { tagsIn } from '../runs/run_actions';
import { useFocusBack } from '../ui/focus_back';
import { Problem } from '../ui/messages';
import './run_head.css';
import './run_tags.css';

export function Tags({ run }: { run: Run }) {
  const source = useSource();
  const [editing, setEditing] = useState(false);
  const { error, act } = useAction();
  const focus = useFocusBack();
  const tags = run.tags ?? [];
  const save = (text: string) =>
    void act('tag', async () => {
      await mutate(source, 'runs.edit', { id: run.id, edit: { tags: tagsIn(text) } });
      runsStoreOf(source).refresh();
    });
  if (!run.may_change)
    return tags.map(tag => (
      <span key={tag} className="imgcls-chip" title="A tag">
        {tag}
      </span>
    ));
  if (editing)
    return (
      <span className="imgcls-tags-edit">
        <InlineEdit
          label={`Tags of ${run.name}`}
          value={tags.join(', ')}
          onSave={save}
          onDone={byKey => {
            if (byKey) focus.to('tags');
            setEditing(false);
          }}
        />
      </span>
    );
  return (
    <>
      <button
        ref={focus.ref('tags')}
        type="button"
        className="imgcls-tags"
        title="Change the tags"
        aria-label={tags.length > 0 ? `Tags: ${tags.join(', ')}` : 'Add a tag'}
        onClick={() => setEditing(true)}
      >
        {tags.map(tag => (
          <span key={tag} className="imgcls-chip">
            {tag}
          </span>
        ))}
        {tags.length === 0 && <span className="imgcls-muted">+ tag</span>}
      </button>
      <Problem>{error}</Problem>
    </>
  );
}
