// An output that lives from its kernel alone, such as the images of a run that no server knows: the kernel's widget while
// there is one. Without it Lab would show "model not found"; here the picture that the notebook keeps, and a sentence.
import type { IRenderMime, IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { Panel, Widget } from '@lumino/widgets';
import { WIDGET_TYPE } from './output_types';

const PICTURES = ['text/html', 'image/svg+xml', 'image/png', 'text/plain'];
const SETTLE = 3000; // ms that the kernel's widget may take before its absence is worth a sentence

/** What stands below: while the kernel's widget is there, and without it. */
export interface Words {
  live: string;
  still: string;
}
const WORDS: Words = {
  live: '',
  still:
    'This is the saved picture. The live view comes from the kernel that ran this cell: run the cell again to get it.',
};

export class KernelOutput extends Panel implements IRenderMime.IRenderer {
  #model: IRenderMime.IMimeModel | null = null;
  #live: Widget | null = null;
  #liveId: unknown; // of the widget's model in the kernel
  #observer: MutationObserver | null = null;
  #timer = 0;
  #renders = 0;
  readonly #stage = new Panel(); // hidden while the widget is not there: its renderer says so in words of its own
  readonly #still = new Panel();
  readonly #sentence = new Widget();

  constructor(private readonly words: Words = WORDS) {
    super();
    this.addClass('imgcls-output');
    this.node.dataset.source = 'kernel';
    this.#sentence.addClass('imgcls-output-sentence');
    this.#say(words.live);
    for (const part of [this.#stage, this.#still, this.#sentence]) this.addWidget(part);
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.#model = model;
    if (this.isAttached) await this.#render();
  }

  protected override onAfterAttach(): void {
    void this.#render();
  }

  protected override onBeforeDetach(): void {
    this.#observer?.disconnect();
    clearTimeout(this.#timer);
  }

  async #render(): Promise<void> {
    const [model, registry] = [this.#model, registryAround(this)];
    if (!model || !registry) return;
    const render = ++this.#renders;
    for (const old of [...this.#still.widgets]) old.dispose();
    const kind = PICTURES.find(mime => mime in model.data);
    if (kind) {
      const still = registry.createRenderer(kind);
      this.#still.addWidget(still);
      await still.renderModel(model);
      // meanwhile a newer model may have come: two renders that go on would leave two live views
      if (render !== this.#renders || this.isDisposed) return;
    }
    this.#showLive(model, registry);
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(
      () => this.#isLive || this.#say(this.words.still),
      this.#live ? SETTLE : 0,
    );
    this.#look();
  }

  /** The kernel's widget stays as the model gets newer pictures: its user has zoomed, unfolded, or pressed a button. */
  #showLive(model: IRenderMime.IMimeModel, registry: IRenderMimeRegistry): void {
    const { model_id: id } = (model.data[WIDGET_TYPE] ?? {}) as { model_id?: unknown };
    this.#observer?.disconnect();
    if (!this.#isLive || id !== this.#liveId) {
      this.#live?.dispose();
      const hasWidget = id !== undefined && registry.mimeTypes.includes(WIDGET_TYPE);
      const live = hasWidget ? registry.createRenderer(WIDGET_TYPE) : null;
      this.#live = live;
      this.#liveId = id;
      if (live) this.#stage.addWidget(live);
      void live?.renderModel(model);
    }
    if (this.#live) {
      this.#observer = new MutationObserver(this.#look);
      this.#observer.observe(this.#live.node, { childList: true, attributeFilter: ['class'] });
    }
  }

  /** Whether the kernel's widget is there: its renderer is a panel that holds it, and hides itself once it is gone. */
  get #isLive(): boolean {
    const { widgets, isHidden } = (this.#live ?? {}) as Partial<Panel>;
    return Boolean(widgets?.length) && !isHidden;
  }

  readonly #look = (): void => {
    const isLive = this.#isLive;
    this.#stage.setHidden(!isLive);
    this.#still.setHidden(isLive);
    if (isLive) this.#say(this.words.live);
  };

  #say(sentence: string): void {
    this.#sentence.node.textContent = sentence;
    this.#sentence.setHidden(!sentence);
  }
}

/** The renderers of the notebook that a widget is in: they know its kernel. */
function registryAround(widget: Widget): IRenderMimeRegistry | null {
  for (let around = widget.parent; around; around = around.parent)
    if ('rendermime' in around) return around.rendermime as IRenderMimeRegistry;
  return null;
}
