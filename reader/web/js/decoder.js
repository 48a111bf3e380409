// Two workers around the pixel decoder. Each has its own memory: no SharedArrayBuffer, which iPhones give too little room.

import { script } from './trusted.js';
import { compileCarried } from './wasm.js';

/** @typedef {import('./decode-worker.js').Job} Job */
/** @typedef {import('./decode-worker.js').Carried} Carried */
/** @typedef {import('./decode-worker.js').Result} Result */

const WORKERS = 2;
/** Jobs that a worker has at a time: one in work and one that waits, so that none idles. */
const JOBS_PER_WORKER = 2;
export class Decoder {
  /** @type {Map<number, (result: Result) => void>} */
  #waiting = new Map();
  #next = 0;
  /** @type {{worker: Worker, jobs: number}[]} */
  #workers;
  /** Milliseconds in the decoder and jobs done, for the benches. */
  spent = { coarse: { ms: 0, jobs: 0 }, slab: { ms: 0, jobs: 0 }, exact: { ms: 0, jobs: 0 }, carried: { ms: 0, jobs: 0 } };
  /** Whether frames that are carried as they came can be decoded. */
  takesCarried = false;

  /** @param {Promise<WebAssembly.Module>} module */
  constructor(module) {
    this.#workers = Array.from({ length: WORKERS }, () => {
      const one = { worker: new Worker(script('/js/decode-worker.js'), { type: 'module' }), jobs: 0 };
      one.worker.addEventListener('message', ({ data }) => {
        one.jobs--;
        const done = this.#waiting.get(data.id);
        this.#waiting.delete(data.id);
        done?.(data);
      });
      module.then((compiled) => one.worker.postMessage({ task: 'module', module: compiled }), () => {});
      return one;
    });
    this.ready = module.then(() => { this.#compiled = true; });
    this.ready.catch(() => {});
  }
  #compiled = false;

  get free() {
    return this.#compiled && this.#workers.some((one) => one.jobs < JOBS_PER_WORKER);
  }

  /** Both workers learn the model before any slab of the series. @param {number} series @param {Uint8Array} bytes @param {number} rawBytes */
  model(series, bytes, rawBytes) {
    for (const { worker } of this.#workers) worker.postMessage({ task: 'model', series, bytes, rawBytes });
  }

  /** Gives both workers the decoders of others. Rejects with a Refusal. */
  async loadCarried() {
    const module = await compileCarried();
    for (const { worker } of this.#workers) worker.postMessage({ task: 'carried module', module });
    this.takesCarried = true;
  }

  /** @param {Omit<Job, 'id'>|Omit<Carried, 'id'>} job @returns {Promise<Result>} */
  decode(job) {
    const id = this.#next++;
    const one = this.#workers.reduce((least, other) => (other.jobs < least.jobs ? other : least));
    one.jobs++;
    one.worker.postMessage({ ...job, id });
    return new Promise((resolve) => this.#waiting.set(id, (result) => {
      const spent = this.spent[job.task];
      spent.ms += result.ms;
      spent.jobs++;
      resolve(result);
    }));
  }

  close() {
    for (const { worker } of this.#workers) worker.terminate();
    this.#waiting.clear();
  }
}
