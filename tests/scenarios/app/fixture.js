// Test only: the viewer with a delivery whose segments come from a bundle file by plain HTTP, unsealed.
import { Viewer } from '/js/viewer/viewer.js';
import { compile } from '/js/wasm.js';
import { Decoder } from '/js/decoder.js';

class FileDelivery extends EventTarget {
  #told;
  #have = new Map();
  #plan = 0;
  #headers = new Set();

  constructor(told) {
    super();
    this.#told = told;
    Object.assign(this, told);
  }

  async want(order) {
    const plan = ++this.#plan;
    window.plans = (window.plans ?? 0) + 1;
    for (const number of order) {
      if (plan !== this.#plan) return;
      const { offset, length } = this.#told.places[number];
      const bytes = this.#have.get(number)
        ?? new Uint8Array(await (await fetch('/test/bundle', { headers: { Range: `bytes=${offset}-${offset + length - 1}` } })).arrayBuffer());
      if (window.delay) await new Promise((resolve) => setTimeout(resolve, window.delay));
      this.#have.set(number, bytes);
      if (plan !== this.#plan) return;
      const segment = this.segments.find((one) => one.number === number);
      window.came = [...(window.came ?? []), `${segment.kind} ${segment.instance}`];
      if (segment.kind === 'headers') this.#headers.add(number);
      this.dispatchEvent(new CustomEvent('segment', { detail: { number, bytes } }));
    }
  }

  join() {
    // The bundle of a test holds its residual already.
  }

  close() {
    this.#plan++;
  }

  geometry(series, instance, frame) {
    const geometry = this.#told.geometries[series][instance];
    return this.series[series].headers.every((number) => this.#headers.has(number)) ? geometry.frames?.[frame] ?? geometry : null;
  }
}

const told = await (await fetch('/test/fixture.json')).json();
const decoder = new Decoder(compile());
const delivery = new FileDelivery(told);
// `?arrows`: a site that takes answers; `?measuring`: that wants its images to be measured, too. The case is kept as long as this tab is open.
const measuring = ['?arrows', '?measuring'].includes(location.search) ? {
  answer: async (...said) => { window.answered = said; return true; },
  measuring: { kept: async () => { if (window.locked) throw new Error('another passkey'); return JSON.parse(sessionStorage.getItem('measures')); }, keep: async (all) => { sessionStorage.setItem('measures', JSON.stringify(all)); return !window.full; }, measures: location.search === '?measuring' },
} : {};
const viewer = new Viewer(delivery, decoder, { ...measuring, hanging: told.hanging, back: () => {}, exact: async () => { window.exact = true; }, shown: () => { window.shownAt = performance.now(); }, scrollable: () => { window.scrollableAt = performance.now(); }, complete: () => { window.completeAt = performance.now(); } });
Object.assign(window, { viewer, decoder, delivery });
document.querySelector('#app').append(viewer.element);
