// A place in the document that a test's components are drawn into, new for each test.
import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach } from 'vitest';

export let host: HTMLElement;
export let root: Root;

/** Make it before each test of the file that calls this, and take it away afterwards. */
export function stage(): void {
  beforeEach(() => {
    (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
    host = document.body.appendChild(document.createElement('div'));
    root = createRoot(host);
  });
  afterEach(() => {
    act(() => root.unmount());
    host.remove();
  });
}

/** The first button whose text this is, or in whose text the pattern is found; undefined where a test expects none. */
export const button = (text: string | RegExp, within: ParentNode = host): HTMLButtonElement =>
  [...within.querySelectorAll('button')].find(({ textContent }) =>
    typeof text === 'string' ? textContent.trim() === text : text.test(textContent),
  )!;

export const press = (text: string | RegExp, within?: ParentNode) =>
  act(async () => button(text, within).click());
