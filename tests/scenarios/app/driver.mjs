// Runs the app's modules in node: node driver.mjs MODULES ORIGIN, one JSON request a line, one JSON answer a line. What a browser has and node
// has not is put in its place: files for the module's own address, an authenticator that derives by HMAC.

import { createCipheriv, createHash, createHmac, createSign, hkdfSync, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [modules, origin] = process.argv.slice(2);
const load = (name) => import(new URL(`${name}.js`, pathToFileURL(`${modules}/`)));

const overTheNetwork = globalThis.fetch;
globalThis.fetch = async (address, how) => {
  if (`${address}`.startsWith('file:')) return new Response(await readFile(new URL(address)), { headers: { 'Content-Type': 'application/wasm' } });
  return overTheNetwork(address, how);
};

// One passkey, whose secret this process keeps.
const passkey = { id: randomBytes(32), secret: randomBytes(32) };
const derive = (salt) => Uint8Array.from(createHmac('sha256', passkey.secret).update(Buffer.from(salt)).digest()).buffer;
const credential = (how, response) => ({
  rawId: Uint8Array.from(passkey.id).buffer,
  response,
  getClientExtensionResults: () => ({ prf: { results: { first: derive(how.publicKey.extensions.prf.eval.first) } } }),
});
const bytes = new ArrayBuffer(4);
Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { credentials: {
  create: async (how) => credential(how, { clientDataJSON: bytes, attestationObject: bytes }),
  get: async (how) => credential(how, { clientDataJSON: bytes, authenticatorData: bytes, signature: bytes, userHandle: null }),
} } });

const { Portal, Refusal } = await load('portal');
const keysOf = await load('keys');
const { Delivery } = await load('delivery');
const { enrol, renew } = await load('enrol');
const { openLink } = await load('link');
const { sha256, toHex } = await load('bytes');
const { stretch } = await load('wasm');
const portal = new Portal(origin);
let keys = null;

const opened = new Map();

async function segments(delivery, order, { until = order.length, milliseconds = 30000 } = {}) {
  const digests = {};
  const failed = [];
  const hashing = [];
  await new Promise((resolve) => {
    let settled = 0;
    const settle = () => (++settled >= until ? resolve() : undefined);
    delivery.addEventListener('segment', ({ detail }) => {
      hashing.push(sha256(detail.bytes).then((digest) => (digests[detail.number] = toHex(digest))));
      settle();
    });
    delivery.addEventListener('failed', ({ detail }) => {
      failed.push(detail);
      if (detail.number !== null || detail.code !== 'link_lost') settle();
    });
    setTimeout(resolve, milliseconds);
    delivery.want(order);
  });
  await Promise.all(hashing);
  return { digests, failed, fetched: delivery.fetchedBytes };
}

// The plain bytes of segments, by number.
async function plain(delivery, order) {
  const bytes = new Map();
  await new Promise((resolve, reject) => {
    delivery.addEventListener('segment', ({ detail }) => {
      bytes.set(detail.number, detail.bytes);
      if (order.every((number) => bytes.has(number))) resolve();
    });
    delivery.addEventListener('failed', ({ detail }) => reject(new Refusal(detail.code, detail.who)));
    delivery.want(order);
  });
  return bytes;
}

// One worker's decoder, as reader/wasm/src/decoder.rs describes it.
class Decoder {
  static async load(kind) {
    const module = await WebAssembly.compile(await readFile(new URL(`../wasm/${kind}.wasm`, pathToFileURL(`${modules}/`))));
    return new Decoder((await WebAssembly.instantiate(module, {})).exports);
  }

  constructor(exports) {
    this.wasm = exports;
  }

  call(parts, name, ...numbers) {
    const input = Buffer.concat(parts);
    // Asked for first: it may move the memory.
    const place = this.wasm.scanpost_input(input.length);
    new Uint8Array(this.wasm.memory.buffer, place, input.length).set(input);
    if (this.wasm[name](...numbers) !== 0) throw new Error(name);
    return new Uint8Array(this.wasm.memory.buffer, this.wasm.scanpost_output(), this.wasm.scanpost_output_bytes()).slice();
  }
}

const commands = {
  // SHA-256 of the pixels of each instance of a series as they came: decoded, then made exact by the residual.
  async decode({ id, series: index, kind }) {
    const delivery = opened.get(id);
    const series = delivery.series[index];
    const { segments } = delivery;
    const wanted = segments.filter((one) => one.series === index && ['model', 'coarse', 'pixels', 'residual'].includes(one.kind));
    const bytes = await plain(delivery, wanted.map(({ number }) => number));
    const decoder = await Decoder.load(kind);
    if (series.model !== null) {
      const { rawBytes } = segments.find(({ number }) => number === series.model);
      decoder.call([bytes.get(series.model)], 'scanpost_model', rawBytes);
    }
    const refers = series.model !== null && decoder.wasm.scanpost_uses_references() === 1;
    const decoded = [];
    const exact = [];
    const order = [...series.slabs.keys()].sort((one, other) => (one % 2) - (other % 2) || one - other);
    for (const at of order) {
      const slab = series.slabs[at];
      const { columns, rows, samples, bits, signed, planar, bigEndian } = series.layout[slab.instance];
      const layout = [columns, rows, samples, bits, (signed ? 1 : 0) | (planar ? 2 : 0) | (bigEndian ? 4 : 0), slab.rawBytes];
      const references = refers ? slab.references.map((other) => decoded[other]) : [];
      const [coarse, fine] = [bytes.get(slab.coarse), bytes.get(slab.pixels[0])];
      decoded[at] = Buffer.from(decoder.call([...references, coarse, fine], 'scanpost_slab', ...layout, references.length, coarse.length));
      exact[at] = slab.residual === null ? decoded[at] : Buffer.from(decoder.call([decoded[at], bytes.get(slab.residual)], 'scanpost_exact', ...layout));
    }
    const digests = series.instances.map((uid, instance) => createHash('sha256').update(Buffer.concat(exact.filter((_, at) => series.slabs[at].instance === instance))).digest('hex'));
    return { refers, lossy: decoded.some((one, at) => !one.equals(exact[at])), digests };
  },
  // Keys that were made elsewhere.
  async adopt({ stored }) {
    await keysOf.addDevice(portal, 'device', null);
    keys = await keysOf.store(portal, stored);
    return { check: [...keys.encryption, keys.identity].every(({ key }) => !key.extractable) };
  },
  async sign_in() {
    const signedIn = await keysOf.signIn(portal);
    keys = signedIn.keys;
    return { user: keys?.user ?? null, sites: keys?.sites.map(({ name }) => name) ?? [], encryption: keys?.encryption.map(({ digest }) => digest) ?? [] };
  },
  async add_device() {
    await keysOf.addDevice(portal, 'device', keys);
  },
  async other_prf() {
    passkey.secret = randomBytes(32);
  },
  async open({ entry }) {
    const delivery = await Delivery.open(entry, keys, portal);
    opened.set(delivery.id, delivery);
    const { id, caseId, sequence, site, completeness, note, series, residualOf, residualUntil, exactCanBeAsked } = delivery;
    return { id, caseId, sequence, site, completeness, note, series, residualOf, residualUntil, exactCanBeAsked, opened: delivery.opened, segments: delivery.segments };
  },
  async want({ id, order, milliseconds }) {
    return segments(opened.get(id), order, { milliseconds });
  },
  // A plan, and another after a while: in which order segments came.
  async replan({ id, first, second, milliseconds }) {
    const delivery = opened.get(id);
    const came = [];
    await new Promise((resolve, reject) => {
      delivery.addEventListener('segment', ({ detail }) => {
        came.push(detail.number);
        if (second.every((number) => came.includes(number))) resolve();
      });
      delivery.addEventListener('failed', ({ detail }) => reject(new Refusal(detail.code, detail.who)));
      delivery.want(first);
      setTimeout(() => {
        came.push(null);
        delivery.want(second.filter((number) => !came.includes(number)));
      }, milliseconds);
    });
    return { came, fetched: delivery.fetchedBytes };
  },
  async geometry({ id, series, instance, frame = 0 }) {
    return opened.get(id).geometry(series, instance, frame);
  },
  async join({ id, residual }) {
    opened.get(id).join(opened.get(residual));
    return { segments: opened.get(id).segments };
  },
  async receipt({ id, kind }) {
    return { posted: await opened.get(id).receipt(kind) };
  },
  async enrol({ code, device, milliseconds }) {
    const shown = [];
    keys = await enrol(portal, keys, code, device, {
      onFingerprint: (text) => {
        shown.push(text);
        process.stdout.write(`${JSON.stringify({ fingerprint: text })}\n`);
      },
      signal: AbortSignal.timeout(milliseconds ?? 60000),
    });
    return { sites: keys.sites.map(({ name }) => name) };
  },
  async renew() {
    return { renewed: await renew(portal, keys, true), encryption: keys.encryption.map(({ digest }) => digest) };
  },
  async recovery_key() {
    return { text: await keysOf.recoveryKey(portal, keys) };
  },
  async recover({ user, text }) {
    keys = (await keysOf.recover(portal, user, text)).keys;
    return { user: keys.user };
  },
  // What a site does for a guest (SPEC 10), laid out and sealed here by other means than the app's.
  async make_link({ terms, passphrase, pkcs8, site, site_key }) {
    const { link, salt } = terms;
    const { memory_kib, iterations, lanes } = terms.argon2;
    const field = (bytes) => Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
    const [from64, fromHex] = ['base64', 'hex'].map((how) => (text) => Buffer.from(text, how));
    const master = await stretch(passphrase, from64(salt), terms.argon2);
    const derive = (usage) => Buffer.from(hkdfSync('sha256', master, 'scanpost link\x01', Buffer.concat([Buffer.from(usage), fromHex(link)]), 32));
    const proof = derive('proof');
    const numbers = Buffer.alloc(21);
    numbers.writeBigInt64BE(BigInt(terms.expires), 0);
    numbers.writeUInt16BE(3, 8);
    numbers.writeUInt16BE(10, 10);
    numbers.writeUInt32BE(memory_kib, 12);
    numbers.writeUInt32BE(iterations, 16);
    numbers.writeUInt8(lanes, 20);
    const head = Buffer.concat([Buffer.from('SCPL\x01'), fromHex(link), fromHex(terms.case), numbers, from64(salt),
      createHash('sha256').update(proof).digest(), field(from64(terms.certificate))]);
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', derive('key'), nonce).setAAD(head);
    const sealed = Buffer.concat([nonce, cipher.update(Buffer.concat([field(from64(pkcs8)), field(from64(site))])), cipher.final(), cipher.getAuthTag()]);
    const content = Buffer.concat([head, field(sealed)]);
    const signature = createSign('sha256').update(Buffer.concat([Buffer.from('scanpost link\0'), content])).sign(site_key);
    return { statement: Buffer.concat([field(signature), content]).toString('base64'), proof: proof.toString('base64') };
  },
  async link({ link, passphrase }) {
    const opened = await openLink(portal, link, passphrase);
    keys = opened.keys;
    return opened.home;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...fields } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await commands[command](fields)) ?? null };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    answer = { refused: error.code, who: error.who, words: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
