// The title of a page, which is the name of what the page shows: whoever may change that edits it where it stands.
import { useState } from 'react';
import { InlineEdit } from '../runs/inline_edit';
import { useFocusBack } from '../ui/focus_back';
import './editable_title.css';

interface Props {
  name: string;
  /** What the field is called while it is edited. */
  label: string;
  mayChange: boolean;
  onSave: (name: string) => void;
}

export function EditableTitle({ name, label, mayChange, onSave }: Props) {
  const [editing, setEditing] = useState(false);
  const focus = useFocusBack();
  if (editing)
    return (
      <div className="imgcls-title-edit">
        <InlineEdit
          label={label}
          value={name}
          longest={200}
          onSave={text => text && onSave(text)}
          onDone={byKey => {
            if (byKey) focus.to(label);
            setEditing(false);
          }}
        />
      </div>
    );
  return (
    <h1 className="imgcls-clip">
      {mayChange ? (
        <button
          ref={focus.ref(label)}
          type="button"
          className="imgcls-title"
          title="Rename"
          onClick={() => setEditing(true)}
        >
          {name}
        </button>
      ) : (
        name
      )}
    </h1>
  );
}
