// The colours that a canvas needs: read from theme.css where it is drawn, and again when the host's theme changes.

export const SERIES_COLOURS = 20;

/** The colour of a series in a style; they begin anew where there are more series than colours. */
export const seriesColour = (index: number): string => `var(--imgcls-series-${(index % SERIES_COLOURS) + 1})`;

export interface Colours {
  text: string;
  muted: string;
  line: string;
  background: string;
  series: string[];
}

/** The colours at an element. Variables may hold var() and light-dark(), so the browser resolves them. */
export function coloursAt(element: HTMLElement): Colours {
  const probe = document.createElement('span');
  probe.style.display = 'none';
  element.append(probe);
  const read = (name: string) => {
    probe.style.color = `var(--imgcls-${name})`;
    return getComputedStyle(probe).color;
  };
  const colours = {
    text: read('text'),
    muted: read('text-muted'),
    line: read('line'),
    background: read('bg'),
    series: Array.from({ length: SERIES_COLOURS }, (_, i) => read(`series-${i + 1}`)),
  };
  probe.remove();
  return colours;
}

const watchers = new Set<() => void>();
let watching = false;

/** Call `changed` after each change of theme until `signal` aborts. */
export function onTheme(changed: () => void, signal: AbortSignal): void {
  watchers.add(changed);
  signal.addEventListener('abort', () => watchers.delete(changed));
  if (watching) return;
  watching = true;
  // Lab swaps a style sheet after the attribute: read the colours once more when it has loaded.
  const notify = () => {
    for (const delay of [0, 400]) setTimeout(() => watchers.forEach(watcher => watcher()), delay);
  };
  const options = {
    attributes: true,
    attributeFilter: [
      'class',
      'data-jp-theme-name',
      'data-jp-theme-light',
      'data-theme',
      'data-imgcls-palette',
    ],
  };
  const observer = new MutationObserver(notify);
  observer.observe(document.body, options);
  observer.observe(document.documentElement, options);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', notify);
}
