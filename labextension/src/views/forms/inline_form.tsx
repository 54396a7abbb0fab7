// A small form inside a page or inside another form, where Enter means its own button and not the outer one.
import type { ReactNode } from 'react';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import './inline_form.css';

interface Props {
  label: string;
  /** What the button says, and what it says meanwhile. */
  action: string;
  acting?: string;
  busy: boolean;
  ready: boolean;
  error: string | null;
  /** What came of the last time. */
  said?: ReactNode;
  onSubmit: () => void;
  onCancel: () => void;
  children: ReactNode;
}

export function InlineForm({
  label,
  action,
  acting,
  busy,
  ready,
  error,
  said,
  onSubmit,
  onCancel,
  children,
}: Props) {
  return (
    <div
      className="imgcls-inline-form"
      role="group"
      aria-label={label}
      onKeyDown={event => {
        if (event.key !== 'Enter' || (event.target as HTMLElement).tagName !== 'INPUT') return;
        event.preventDefault();
        if (ready && !busy) onSubmit();
      }}
    >
      {children}
      {said}
      <Problem>{error}</Problem>
      <div className="imgcls-buttons">
        <Button busy={busy} disabled={!ready} onClick={onSubmit}>
          {(busy && acting) || action}
        </Button>
        <Button onClick={onCancel}>Cancel</Button>
      </div>
    </div>
  );
}
