// A button that asks once more before it does what cannot be undone. The question floats over the button, which keeps
// its place: what stands beside it does not move.
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { Button } from './button';
import { keepInView } from './keep_in_view';
import './confirm_button.css';

interface Props {
  label: string;
  /** The question: names what will be gone. */
  question: string;
  busy?: boolean;
  disabled?: boolean;
  title?: string;
  onConfirm: () => void;
}

export function ConfirmButton({ label, question, busy, disabled, title, onConfirm }: Props) {
  const [asking, setAsking] = useState(false);
  const yes = useRef<HTMLSpanElement>(null);
  useLayoutEffect(() => {
    if (asking) keepInView(yes.current!);
  }, [asking]);
  useEffect(() => {
    if (asking) yes.current?.querySelector('button')?.focus();
  }, [asking]);
  return (
    <span className="imgcls-confirms">
      <Button
        className={asking ? 'imgcls-asked' : undefined}
        busy={busy}
        disabled={disabled}
        title={title}
        onClick={() => setAsking(true)}
      >
        {label}
      </Button>
      {asking && (
        <span
          className="imgcls-confirm"
          role="alertdialog"
          aria-label={question}
          ref={yes}
          onKeyDown={event => event.key === 'Escape' && setAsking(false)}
        >
          <span className="imgcls-note">{question}</span>
          <Button
            danger
            busy={busy}
            onClick={() => {
              setAsking(false);
              onConfirm();
            }}
          >
            {label.replace('…', '')}
          </Button>
          <Button onClick={() => setAsking(false)}>Cancel</Button>
        </span>
      )}
    </span>
  );
}
