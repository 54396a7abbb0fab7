// Tabs and the panel of the one that is open, by the keys and roles of the WAI-ARIA pattern: one tab is in the order
// of Tab, the arrows, Home and End go to the others. The panel is in that order, too: keys scroll it.
import { useId, useRef, type KeyboardEvent, type ReactNode } from 'react';
import './tabs.css';

interface Props<T extends string> {
  label: string;
  names: readonly T[];
  open: T;
  onOpen: (name: T) => void;
  /** What a tab is called, where that is not its name. */
  title?: (name: T) => string;
  listClass?: string;
  panelClass?: string;
  children: ReactNode;
}

export function Tabs<T extends string>({
  label,
  names,
  open,
  onOpen,
  title = name => name,
  listClass = '',
  panelClass,
  children,
}: Props<T>) {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const at = names.indexOf(open);
  const go = (event: KeyboardEvent) => {
    const last = names.length - 1;
    const to = {
      ArrowRight: at === last ? 0 : at + 1,
      ArrowLeft: at === 0 ? last : at - 1,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    onOpen(names[to]!);
    list.current?.querySelectorAll<HTMLElement>('[role=tab]')[to]?.focus();
  };
  return (
    <>
      <div
        className={`imgcls-tabs ${listClass}`.trim()}
        role="tablist"
        aria-label={label}
        ref={list}
        onKeyDown={go}
      >
        {names.map(name => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`${id}-${name}`}
            aria-selected={open === name}
            aria-controls={open === name ? `${id}-panel` : undefined}
            tabIndex={open === name ? 0 : -1}
            onClick={() => onOpen(name)}
          >
            {title(name)}
          </button>
        ))}
      </div>
      <div
        className={panelClass}
        role="tabpanel"
        tabIndex={0}
        id={`${id}-panel`}
        aria-labelledby={`${id}-${open}`}
      >
        {children}
      </div>
    </>
  );
}
