// JupyterLab's own renderer of Markdown for the views: sanitized, since the text is not trusted.
import { MimeModel, type IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { Widget } from '@lumino/widgets';
import type { RenderMarkdown } from '../views/ui/markdown';

const MARKDOWN = 'text/markdown';

/** null: the host shows no Markdown. */
export function markdownOf(registry: IRenderMimeRegistry | null): RenderMarkdown | null {
  if (!registry?.mimeTypes.includes(MARKDOWN)) return null;
  return (element, text, signal) => {
    const renderer = registry.createRenderer(MARKDOWN);
    signal.addEventListener('abort', () => {
      if (renderer.node.isConnected || !renderer.isAttached) renderer.dispose();
    });
    void renderer.renderModel(new MimeModel({ data: { [MARKDOWN]: text }, trusted: false })).then(() => {
      if (!signal.aborted) Widget.attach(renderer, element);
    });
  };
}
