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

const SERIES = Array.from({ length: SERIES_COLOURS }, (_, i) => `series-${i + 1}`);
const NAMES = ['text', 'text-muted', 'line', 'bg', ...SERIES];

/** The colours at an element. Variables may hold var() and light-dark(), so the browser resolves them; all at once, since
 * each look after a change costs a pass over the styles. */
export function coloursAt(element: HTMLElement): Colours {
  const holder = document.createElement('span');
  holder.style.display = 'none';
  const probes = NAMES.map(name => {
    const probe = document.createElement('i');
    probe.style.color = `var(--imgcls-${name})`;
    return probe;
  });
  holder.append(...probes);
  element.append(holder);
  const [text, muted, line, background, ...series] = probes.map(probe => getComputedStyle(probe).color);
  holder.remove();
  return { text: text!, muted: muted!, line: line!, background: background!, series };
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
