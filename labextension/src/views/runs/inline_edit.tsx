// A text that is edited where it stands: Enter saves, Escape leaves it as it was.
import { useEffect, useRef } from 'react';
import '../ui/inputs.css';
import './inline_edit.css';

interface Props {
  label: string;
  value: string;
  /** Characters at most. */
  longest?: number;
  onSave: (value: string) => void;
  /** It is over, saved or not; by a key: the focus was here until now. */
  onDone: (byKey: boolean) => void;
}

export function InlineEdit({ label, value, longest, onSave, onDone }: Props) {
  const input = useRef<HTMLInputElement>(null);
  const over = useRef(false);
  useEffect(() => {
    input.current!.focus();
    input.current!.select();
  }, []);
  const end = (save: boolean, byKey: boolean) => {
    if (over.current) return;
    over.current = true;
    const text = input.current!.value.trim();
    if (save && text !== value.trim()) onSave(text);
    onDone(byKey);
  };
  return (
    <span className="imgcls-inline">
      <input
        ref={input}
        aria-label={label}
        defaultValue={value}
        maxLength={longest}
        onBlur={() => end(true, false)}
        onKeyDown={event => {
          event.stopPropagation();
          if (event.key !== 'Enter' && event.key !== 'Escape') return;
          event.preventDefault(); // or Enter presses the button that gets the focus, which begins anew
          end(event.key === 'Enter', true);
        }}
      />
      <span className="imgcls-muted">↵ save</span>
    </span>
  );
}
