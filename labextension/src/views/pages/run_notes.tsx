// The tab of a run's notes: Markdown, edited in place.
import { useLayoutEffect, useRef, useState } from 'react';
import { runsStoreOf } from '../data/runs_store';
import { useSource } from '../data/source';
import type { RunDetail } from '../data/types';
import { useAction } from '../data/use_query';
import { Button } from '../ui/button';
import { count } from '../ui/format';
import { useMarkdown } from '../ui/markdown';
import { Problem } from '../ui/messages';
import '../ui/inputs.css';
import '../ui/layout.css';
import './run_notes.css';

const LONGEST = 20_000; // characters, as the server takes them

function Rendered({ text }: { text: string }) {
  const render = useMarkdown();
  const host = useRef<HTMLDivElement>(null);
  // before the element leaves the page: the host takes its widget out of it
  useLayoutEffect(() => {
    if (!render || !host.current) return;
    const stop = new AbortController();
    render(host.current, text, stop.signal);
    return () => stop.abort();
  }, [render, text]);
  return render ? (
    <div className="imgcls-notes" ref={host} />
  ) : (
    <div className="imgcls-notes imgcls-notes-plain">{text}</div>
  );
}

function Editor({ run, onDone }: { run: RunDetail; onDone: () => void }) {
  const source = useSource();
  const [text, setText] = useState(run.notes);
  const { busy, error, act } = useAction();
  const save = async () => {
    if (!(await act('notes', () => source.command('runs.edit', { id: run.id, edit: { notes: text } }))))
      return;
    runsStoreOf(source).refresh();
    onDone();
  };
  return (
    <>
      <textarea
        className="imgcls-notes-editor"
        aria-label="Notes in Markdown"
        value={text}
        maxLength={LONGEST}
        autoFocus
        onChange={event => setText(event.target.value)}
        onKeyDown={event => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void save();
        }}
      />
      <div className="imgcls-buttons">
        <Button primary busy={busy !== null} title="Ctrl+Enter" onClick={() => void save()}>
          Save
        </Button>
        <Button onClick={onDone}>Cancel</Button>
        <span className="imgcls-muted imgcls-num">
          {count(text.length)} of {count(LONGEST)} characters
        </span>
      </div>
      <Problem>{error}</Problem>
    </>
  );
}

export function NotesTab({ run }: { run: RunDetail }) {
  const [editing, setEditing] = useState(false);
  if (editing) {
    return (
      <div className="imgcls-stack">
        <Editor run={run} onDone={() => setEditing(false)} />
      </div>
    );
  }
  return (
    <div className="imgcls-stack">
      {run.may_change && (
        <div className="imgcls-buttons">
          <Button onClick={() => setEditing(true)}>{run.notes ? 'Edit' : 'Write notes'}</Button>
        </div>
      )}
      {run.notes ? (
        <Rendered text={run.notes} />
      ) : (
        <p className="imgcls-muted">
          No notes yet. They are Markdown, and everybody who sees the run reads them.
        </p>
      )}
    </div>
  );
}
