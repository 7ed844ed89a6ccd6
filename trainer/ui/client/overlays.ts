/**
 * Pictures of the best, middle and worst case: where prediction and truth agree, at any threshold.
 */
import type { OverlayAnswer } from '../api.ts';
import { address, command, h } from './dom.ts';
import { fixed } from './format.ts';

const tints = { hit: [0, 158, 115], alarm: [213, 94, 0], miss: [86, 180, 233] } as const;
const names: Readonly<Record<string, string>> = { best: 'Best case', median: 'Middle case', worst: 'Worst case' };

export class Overlays {
  readonly element = h('section', { 'aria-labelledby': 'overlays', hidden: true });
  readonly #id: string;
  readonly #path: string;
  #told = '';

  constructor(id: string, path: string) {
    this.#id = id;
    this.#path = path;
  }

  set(overlays: readonly OverlayAnswer[]): void {
    const told = JSON.stringify(overlays);
    if (told === this.#told) return;
    this.#told = told;
    this.element.hidden = overlays.length === 0;
    const canMove = overlays.some(({ probability }) => probability !== undefined);
    const views = overlays.map(overlay => new View(this.#id, overlay));
    const shown = h('output', {}, '0.50');
    const slider = h('input', { type: 'range', min: 0.01, max: 0.99, step: 0.01, value: 0.5, input: () => move() });
    const move = () => {
      shown.textContent = Number(slider.value).toFixed(2);
      for (const view of views) view.show(Number(slider.value));
    };
    this.element.replaceChildren(
      h('h2', { id: 'overlays' }, 'Images'),
      h(
        'div',
        { class: 'controls' },
        canMove && h('label', { class: 'choice' }, 'Threshold ', slider, ' ', shown),
        h(
          'ul',
          { class: 'legend' },
          h('li', {}, h('span', { class: 'hit' }), 'hit: even'),
          h('li', {}, h('span', { class: 'alarm' }), 'false alarm: stripes that rise'),
          h('li', {}, h('span', { class: 'miss' }), 'miss: stripes that fall'),
        ),
      ),
      h('div', { class: 'views' }, ...views.map(({ element }) => element)),
      canMove
        ? h('p', { class: 'note' }, 'Scores of one image, at this threshold. The product predicts at 0.5.')
        : h(
            'p',
            { class: 'note' },
            'As they were drawn when the run ended, at a threshold of 0.5. Evaluate the run (again) to be able to move it.',
          ),
      command('evaluate', this.#path),
    );
  }
}

class View {
  readonly element: HTMLElement;
  readonly #scores = h('p', { class: 'note', role: 'status' });
  readonly #canvas = h('canvas', { role: 'img' });
  readonly #kind: string;
  #ready: { readonly image: ImageData; readonly probability: ImageData; readonly truth: ImageData } | undefined;
  #threshold = 0.5;

  constructor(id: string, { kind, picture, probability, truth }: OverlayAnswer) {
    this.#kind = names[kind] ?? kind;
    this.#canvas.setAttribute('aria-label', `${this.#kind}: loading`);
    const url = (name: string) => address('/api/picture', { id, name });
    const canMove = probability !== undefined && truth !== undefined;
    const still = h('img', { src: url(picture), alt: `${this.#kind}: the image, and beside it prediction against truth`, loading: 'lazy' });
    this.element = h('figure', { class: 'card view' }, h('h3', {}, this.#kind), ...(canMove ? [this.#canvas, this.#scores] : [still]));
    if (canMove) {
      void this.#load([picture, probability, truth].map(url)).catch(() => {
        this.#scores.textContent = 'These pictures cannot be read: evaluate the run again.';
      });
    }
  }

  async #load(urls: readonly string[]): Promise<void> {
    const [picture, map, truth] = await Promise.all(
      urls.map(async url => {
        const image = new Image();
        image.src = url;
        await image.decode();
        return image;
      }),
    );
    const { width, height } = map;
    const pixels = (image: HTMLImageElement, part: number) => {
      const canvas = h('canvas', { width, height });
      const context = canvas.getContext('2d')!;
      // The left half of the picture is the image, enlarged.
      context.drawImage(image, 0, 0, image.width * part, image.height, 0, 0, width, height);
      return context.getImageData(0, 0, width, height);
    };
    this.#ready = { image: pixels(picture, 0.5), probability: pixels(map, 1), truth: pixels(truth, 1) };
    this.#canvas.width = 2 * width;
    this.#canvas.height = height;
    this.show(this.#threshold);
  }

  show(threshold: number): void {
    this.#threshold = threshold;
    if (!this.#ready) return;
    const { image, probability, truth } = this.#ready;
    const { width, height, data } = image;
    const out = new ImageData(new Uint8ClampedArray(data), width, height);
    let [tp, fp, fn] = [0, 0, 0];
    for (let i = 0; i < width * height; i++) {
      const label = truth.data[4 * i];
      // Between nothing and all: does not count.
      if (label > 64 && label < 192) continue;
      const [isPredicted, isTrue] = [probability.data[4 * i] / 255 > threshold, label >= 192];
      if (!isPredicted && !isTrue) continue;
      const kind = isPredicted ? (isTrue ? 'hit' : 'alarm') : 'miss';
      if (kind === 'hit') tp++;
      else if (kind === 'alarm') fp++;
      else fn++;
      const [x, y] = [i % width, Math.floor(i / width)];
      const onStripe = (kind === 'alarm' ? x + y : x - y + height * 6) % 6 < 3;
      const share = kind === 'hit' ? 0.5 : onStripe ? 0.9 : 0.4;
      for (let c = 0; c < 3; c++) out.data[4 * i + c] = (1 - share) * data[4 * i + c] + share * tints[kind][c];
    }
    const context = this.#canvas.getContext('2d')!;
    context.putImageData(image, 0, 0);
    context.putImageData(out, width, 0);
    const jaccard = tp + fp + fn === 0 ? 1 : tp / (tp + fp + fn);
    const text = `Jaccard ${fixed(jaccard, 3)}, precision ${fixed(tp / (tp + fp), 3)}, recall ${fixed(tp / (tp + fn), 3)}`;
    this.#scores.textContent = text;
    this.#canvas.setAttribute(
      'aria-label',
      `${this.#kind}: the image, and beside it prediction against truth at threshold ${threshold}. ${text}`,
    );
  }
}
