// Times decoders in WASM on coded images: node codec-wasm.js PLAN.json. Prints JSON: pixels a CPU second of each decoder and image set.
"use strict";
const fs = require("fs");
const path = require("path");

const plan = JSON.parse(fs.readFileSync(process.argv[2]));

async function ours(file) {
  const { instance } = await WebAssembly.instantiate(fs.readFileSync(file), {});
  const wasm = instance.exports;
  const give = (bytes) => {
    // First the room, then the buffer: asking for room may grow the memory, which makes a new buffer.
    const place = wasm.scanpost_input(bytes.length);
    new Uint8Array(wasm.memory.buffer, place, bytes.length).set(bytes);
  };
  const output = () => new Uint8Array(wasm.memory.buffer, wasm.scanpost_output(), wasm.scanpost_output_bytes());
  return {
    prepare(set) {
      give(set.model);
      if (wasm.scanpost_model(set.modelBytes) !== 0) throw new Error("model");
    },
    decode(set, index) {
      const references = set.references[index].map((other) => set.raw[other]);
      give(Buffer.concat([...references, set.coarse[index], set.fine[index]]));
      const layout = [set.columns, set.rows, 1, 16, set.signed ? 1 : 0, set.raw[index].length];
      if (wasm.scanpost_slab(...layout, references.length, set.coarse[index].length) !== 0) throw new Error("slab");
      return output();
    },
    picture(set, index) {
      give(set.coarse[index]);
      const told = wasm.scanpost_coarse(set.columns, set.rows, 1, 16, set.signed ? 1 : 0, set.raw[index].length);
      if ((told !== 0) !== (set.pictures[index].length === 0)) throw new Error("coarse picture");
      if (output().length !== wasm.scanpost_coarse_columns() * wasm.scanpost_coarse_rows() * 2) throw new Error("size of a coarse picture");
      return output();
    },
    expected: (set, index) => set.raw[index],
  };
}

async function openjph(folder) {
  const module = await require(path.join(folder, "openjphjs.js"))({ locateFile: (name) => path.join(folder, name) });
  const decoder = new module.HTJ2KDecoder();
  return {
    prepare() {},
    decode(set, index) {
      decoder.getEncodedBuffer(set.htj2k[index].length).set(set.htj2k[index]);
      decoder.decode();
      return decoder.getDecodedBuffer();
    },
    // Its lossy images are its own affair.
    expected: (set, index) => (set.near === 0 ? set.peerRaw[index] : null),
  };
}

function load(set) {
  const files = (suffix) =>
    fs.readdirSync(set.folder).filter((name) => name.endsWith(suffix)).sort().map((name) => fs.readFileSync(path.join(set.folder, name)));
  return {
    ...set, coarse: files(".coarse"), fine: files(".fine"), raw: files(".raw"), pictures: files(".picture"),
    references: files(".references").map((text) => text.toString().split(" ").filter(Boolean).map(Number)), htj2k: files(".j2c"), peerRaw: files(".peer"),
    model: fs.readFileSync(path.join(set.folder, "model")), modelBytes: Number(fs.readFileSync(path.join(set.folder, "model.bytes"))),
  };
}

// CPU time of the process: after the warm-up nothing but the decoder runs in it.
function pixelsPerSecond(decoder, set) {
  decoder.prepare(set);
  const start = process.cpuUsage();
  for (let index = 0; index < set.raw.length; index++) decoder.decode(set, index);
  const { user, system } = process.cpuUsage(start);
  return (set.raw.length * set.columns * set.rows) / ((user + system) / 1e6);
}

function check(name, decoder, set) {
  decoder.prepare(set);
  for (let index = 0; index < set.raw.length; index++) {
    const decoded = decoder.decode(set, index);
    const expected = decoder.expected(set, index);
    if (expected && Buffer.compare(Buffer.from(decoded), expected) !== 0) throw new Error(`${name}: other pixels in ${set.folder}`);
    if (decoder.picture && Buffer.compare(Buffer.from(decoder.picture(set, index)), set.pictures[index]) !== 0)
      throw new Error(`${name}: another coarse picture in ${set.folder}`);
  }
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

async function main() {
  const decoders = { simd: await ours(plan.simd), plain: await ours(plan.plain), openjph: await openjph(plan.openjph) };
  const results = plan.sets.map((description) => {
    const set = load(description);
    const runs = { simd: [], plain: [], openjph: [] };
    // The check is the warm-up too: the engine compiles what is called often a second time, better.
    for (const [name, decoder] of Object.entries(decoders)) check(name, decoder, set);
    for (let round = 0; round < plan.rounds; round++)
      for (const [name, decoder] of Object.entries(decoders)) runs[name].push(pixelsPerSecond(decoder, set));
    return Object.fromEntries(Object.entries(runs).map(([name, values]) => [name, median(values)]));
  });
  console.log(JSON.stringify({ node: process.version, results }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
