// A button that opens a panel below it, over the page. Escape, a click elsewhere or `close` ends it.
import { useEffect, useLayoutEffect, useRef, useState, type ReactNode } from 'react';
import { Button } from './button';
import { keepInView } from './keep_in_view';
import './popover.css';

interface Props {
  /** What the button shows. */
  label: ReactNode;
  /** What the panel is called. */
  title: string;
  /** Why the button cannot be pressed. */
  reason?: string | null;
  plain?: boolean;
  danger?: boolean;
  /** The panel opens above the button, or ends at its right edge. */
  up?: boolean;
  end?: boolean;
  children: (close: () => void) => ReactNode;
}

export function Popover({ label, title, reason, plain, danger, up, end, children }: Props) {
  const [open, setOpen] = useState(false);
  const around = useRef<HTMLSpanElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const close = () => {
    setOpen(false);
    around.current?.querySelector('button')?.focus();
  };
  useLayoutEffect(() => {
    if (open) keepInView(panel.current!);
  }, [open]);
  useEffect(() => {
    if (!open) return;
    panel.current?.querySelector<HTMLElement>('input, select, textarea, button')?.focus();
    const outside = (event: PointerEvent) => around.current?.contains(event.target as Node) || setOpen(false);
    document.addEventListener('pointerdown', outside, true);
    return () => document.removeEventListener('pointerdown', outside, true);
  }, [open]);
  const press = {
    'aria-expanded': open,
    'aria-haspopup': 'dialog' as const,
    title: reason ?? undefined,
    onClick: () => setOpen(!open),
  };
  return (
    <span
      className="imgcls-popover"
      ref={around}
      onKeyDown={event => {
        if (event.key !== 'Escape' || !open) return;
        event.stopPropagation();
        close();
      }}
    >
      {plain ? (
        <button type="button" className="imgcls-plain" {...press}>
          {label}
        </button>
      ) : (
        <Button danger={danger} disabled={Boolean(reason)} {...press}>
          {label}
        </Button>
      )}
      {open && (
        <div
          className={['imgcls-popover-panel', up && 'imgcls-popover-up', end && 'imgcls-popover-end']
            .filter(Boolean)
            .join(' ')}
          role="dialog"
          aria-label={title}
          ref={panel}
        >
          {children(close)}
        </div>
      )}
    </span>
  );
}
