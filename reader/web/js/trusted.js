// The only scripts that the app starts by their address. Where the browser has Trusted Types, no other can be started, and no text becomes one.

/** @typedef {'/js/decode-worker.js'|'/sw.js'} Own */

/** @type {string[]} */
const OWN = ['/js/decode-worker.js', '/sw.js'];

/** @type {any} */
const types = /** @type {any} */ (globalThis).trustedTypes;
// The portal's policy of contents lets nobody make another one, nor this one twice.
const policy = types?.createPolicy('scanpost', {
  createScriptURL: (/** @type {string} */ path) => {
    if (!OWN.includes(path)) throw new TypeError('not a script of the app');
    return path;
  },
});

/** @param {Own} path @returns {string} */
export const script = (path) => policy ? policy.createScriptURL(path) : path;
