// A panel over the right side of a page, as high as what is seen of the page however far it was scrolled.
import { createContext, useContext, useEffect, useState, type ReactNode } from 'react';
import { onResize } from './on_resize';
import { createPortal } from 'react-dom';
import './side_panel.css';

const Slot = createContext<HTMLElement | null>(null);

/** The nearest element around this one that scrolls. */
function scrollerOf(element: HTMLElement): HTMLElement {
  for (let node = element.parentElement; node; node = node.parentElement)
    if (/auto|scroll/.test(getComputedStyle(node).overflowY)) return node;
  return document.documentElement;
}

/** A page that panels can lie over. */
export function PageWithPanel({ children }: { children: ReactNode }) {
  const [slot, setSlot] = useState<HTMLElement | null>(null);
  useEffect(() => {
    if (!slot) return;
    const scroller = scrollerOf(slot);
    const measure = () => slot.style.setProperty('--imgcls-seen', `${scroller.clientHeight}px`);
    measure();
    return onResize(scroller, measure);
  }, [slot]);
  return (
    <Slot.Provider value={slot}>
      <div className="imgcls-panel-slot" ref={setSlot} />
      {children}
    </Slot.Provider>
  );
}

/** Over the page where it has a place for panels; else where it is written. */
export function SidePanel({ children }: { children: ReactNode }) {
  const slot = useContext(Slot);
  if (!slot) return <div className="imgcls-panel-inline">{children}</div>;
  return createPortal(<div className="imgcls-panel">{children}</div>, slot);
}
