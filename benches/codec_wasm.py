"""Our decoder in WASM beside OpenJPH's, in node: without loss, and at the same rate near 1.6 bits a sample (10 : 1 of the pixels).

Every image that ours decodes is compared with what the native decoder gives, byte by byte.

usage: benches/codec-wasm [--record] [--rounds 9] [--series NAME]... [--pixels 1500000]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import imagecodecs

from codec import BITS_TENFOLD, OURS, machine, versions
from codec_series import TOP, all_series

NPM_PACKAGE = "@cornerstonejs/codec-openjph 2.4.11"
INTRODUCTION = """# The decoder in WASM

Written by `benches/codec-wasm --record`; do not edit. One thread of node, CPU time, decoders in turn, medians. Million pixels a second; ratios are to
OpenJPH's WASM on the same images, which lie side by side in the series. `10 : 1` is our smallest bound with at most 1.6 bits a sample, and HTJ2K at
the same bits. Every image that ours decodes, and every coarse picture, is, byte by byte, what the native decoder gives. The slowest first.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--series", action="append", default=[])
    parser.add_argument("--pixels", type=int, default=1_500_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        sets = []
        for series in all_series(arguments.series):
            if series.grey16 and not series.palette:
                sets += prepare(series, pathlib.Path(work), arguments.pixels)
        told = run_node(sets, arguments.rounds, pathlib.Path(work))
    rows = [{**one, **speeds} for one, speeds in zip(sets, told["results"])]
    text = markdown(rows, told["node"])
    folder = TOP / "target/bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "codec-wasm.json").write_text(json.dumps(rows, indent=1))
    (folder / "codec-wasm.md").write_text(text)
    if arguments.record:
        (TOP / "docs/benchmarks-codec-wasm.md").write_text(text)
    print(text)


def prepare(series, work, pixels):
    """Coded images of one series on disk: without loss, and tenfold."""
    print(series.name, file=sys.stderr, flush=True)
    count = max(1, min(len(series.values), pixels // series.values[0].size))
    # Neighbours, since some are predicted from others.
    first = (len(series.values) - count) // 2
    series.values = series.values[first : first + count]
    near = next(near for near in range(1, 1 << 16) if coded(series, near, None)["bits"] <= BITS_TENFOLD or near == 255)
    return [folder_of(series, bound, work / f"{series.name}-{bound}") for bound in (0, near)]


def coded(series, near, out):
    rows, columns = series.values.shape[1:]
    with tempfile.NamedTemporaryFile() as raw:
        raw.write(series.values.tobytes())
        raw.flush()
        command = [OURS, raw.name, columns, rows, len(series.values), 1, 16, int(series.signed), near, ",".join(map(str, series.exact)) or "-",
                   1, 1, "whole", *([out] if out else [])]
        told = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)
    return {**told, "bits": told["bytes"] * 8 / series.values.size}


def folder_of(series, near, folder):
    folder.mkdir()
    told = coded(series, near, folder)
    images = series.for_peers()
    peers = htj2k(images, None if near == 0 else told["bits"])
    for index, (image, peer) in enumerate(zip(images, peers)):
        (folder / f"{index:04}.j2c").write_bytes(peer)
        (folder / f"{index:04}.peer").write_bytes(image.tobytes())
    rows, columns = images.shape[1:]
    return {"series": series.name, "folder": str(folder), "columns": columns, "rows": rows, "signed": series.signed, "near": near,
            "images": len(images), "bits": told["bits"], "peer_bits": sum(map(len, peers)) * 8 / images.size, "max_error": told["max_error"]}


def htj2k(images, bits):
    """Coded without loss, or with the coarsest step that still has `bits` a sample."""
    if bits is None:
        return [imagecodecs.htj2k_encode(image, reversible=True) for image in images]
    low, high = 1e-6, 0.1
    for _ in range(14):
        step = (low * high) ** 0.5
        peers = [imagecodecs.htj2k_encode(image, level=step, reversible=False) for image in images]
        low, high = (step, high) if sum(map(len, peers)) * 8 / images.size > bits else (low, step)
    return peers


def run_node(sets, rounds, work):
    modules = TOP / "target/bench-npm/node_modules/@cornerstonejs/codec-openjph/dist"
    plan = {"simd": str(TOP / "target/wasm/simd.wasm"), "plain": str(TOP / "target/wasm/plain.wasm"), "openjph": str(modules),
            "rounds": rounds, "sets": sets}
    (work / "plan.json").write_text(json.dumps(plan))
    # One thread for the engine's own work too, so that CPU time is the decoder's.
    command = ["node", "--single-threaded-gc", TOP / "benches/codec-wasm.js", work / "plan.json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def markdown(rows, node):
    sizes = ", ".join(f"{kind} {(TOP / f'target/wasm/{kind}.wasm').stat().st_size} bytes" for kind in ("simd", "plain"))
    lines = [INTRODUCTION, f"Machine: {machine()}. node {node}, {NPM_PACKAGE}, {versions()[0]}. Module: {sizes}.\n",
             "| series | near | bits | HTJ2K bits | SIMD | plain | OpenJPH | SIMD : OpenJPH | plain : OpenJPH |", "|---|---|---|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["simd"] / row["openjph"]):
        speeds = [f"{row[key] / 1e6:.1f}" for key in ("simd", "plain", "openjph")]
        ratios = [f"{row[key] / row['openjph']:.2f}" for key in ("simd", "plain")]
        rate = "0" if row["near"] == 0 else f"{row['near']} (10 : 1)"
        lines.append("| " + " | ".join([row["series"], rate, f"{row['bits']:.3f}", f"{row['peer_bits']:.3f}", *speeds, *ratios]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
