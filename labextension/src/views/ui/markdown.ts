// How Markdown is shown. A host that can render it says how; its renderer must make the text harmless (sanitize it).
// Without one the text is shown as it was typed.
import { createContext, useContext } from 'react';

/** Renders a text into an element of the page, until `signal` aborts. */
export type RenderMarkdown = (element: HTMLElement, text: string, signal: AbortSignal) => void;

const Context = createContext<RenderMarkdown | null>(null);
export const MarkdownProvider = Context.Provider;
export const useMarkdown = (): RenderMarkdown | null => useContext(Context);
