// A text that is edited where it stands: Enter saves, Escape leaves it as it was.
import { useEffect, useRef } from 'react';
import '../ui/inputs.css';
import './inline_edit.css';

interface Props {
  label: string;
  value: string;
  onSave: (value: string) => void;
  /** It is over, saved or not. */
  onDone: () => void;
}

export function InlineEdit({ label, value, onSave, onDone }: Props) {
  const input = useRef<HTMLInputElement>(null);
  const over = useRef(false);
  useEffect(() => {
    input.current!.focus();
    input.current!.select();
  }, []);
  const end = (save: boolean) => {
    if (over.current) return;
    over.current = true;
    const text = input.current!.value.trim();
    if (save && text !== value.trim()) onSave(text);
    onDone();
  };
  return (
    <span className="imgcls-inline">
      <input
        ref={input}
        aria-label={label}
        defaultValue={value}
        onBlur={() => end(true)}
        onKeyDown={event => {
          if (event.key === 'Enter') end(true);
          if (event.key === 'Escape') end(false);
          event.stopPropagation();
        }}
      />
      <span className="imgcls-muted">↵ save</span>
    </span>
  );
}
