"""Our pixel codec beside CharLS, OpenJPEG, OpenJPH and libjxl: sizes, errors, and speed as a ratio to CharLS.

Same series, same process tree, one processor, CPU time of the whole process (a second thread would be counted), codecs in turn, medians of
all rounds. Sizes and errors are those of whole series; times those of evenly spread slices. Also: two of our threads against one.

usage: benches/codec [--record] [--rounds 5] [--series NAME]... [--timed-pixels 1500000]
  --record   writes docs/benchmarks-codec.md as well; always writes target/bench/codec.md and codec.json
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import imagecodecs
import numpy

from codec_report import markdown
from codec_series import TOP, all_series, s20

OURS = TOP / "target/release/examples/codec-bench"
# JPEG XL effort 7 encodes a twentieth as fast as the others: this many slices, once.
SLOW_SLICES = 3
# "Tenfold" of 16-bit pixels.
BITS_TENFOLD = 1.6
# Bounds that are measured beside none: stored values, and multiples of the noise.
NEARS = (2, 3)
SIGMAS = (1,)
# What a run of ours over a whole series tells.
SIZES = ("bytes", "model_bytes", "max_error", "rmse", "coarse_mean", "coarse_most", "fetched_most", "uses_references")


class Peer:
    """A codec by its encode and decode; `near` is what it promises, None where it promises nothing."""

    def __init__(self, name, encode, decode, near=0, slow=False):
        self.name, self.encode, self.decode, self.near, self.slow = name, encode, decode, near, slow


def jpeg_ls(near):
    name = "JPEG-LS" if near == 0 else f"JPEG-LS near {near}"
    return Peer(name, lambda image: imagecodecs.jpegls_encode(image, level=near), imagecodecs.jpegls_decode, near)


def lossless_peers():
    return [
        jpeg_ls(0),
        Peer("JPEG 2000", lambda image: imagecodecs.jpeg2k_encode(image, level=0, reversible=True, codecformat="j2k", numthreads=1),
             lambda coded: imagecodecs.jpeg2k_decode(coded, numthreads=1)),
        Peer("HTJ2K", lambda image: imagecodecs.htj2k_encode(image, reversible=True), imagecodecs.htj2k_decode),
        Peer("JPEG XL e7", lambda image: imagecodecs.jpegxl_encode(image, lossless=True, effort=7, numthreads=1),
             lambda coded: imagecodecs.jpegxl_decode(coded, numthreads=1), slow=True),
    ]


def htj2k_tenfold(images):
    """HTJ2K with the quantiser step that gives some slices 1.6 bits a sample."""
    some = images[:: max(1, len(images) // 6)]
    low, high = 1e-6, 0.1
    for _ in range(14):
        step = (low * high) ** 0.5
        bits = sum(len(imagecodecs.htj2k_encode(image, level=step, reversible=False)) for image in some) * 8 / some.size
        low, high = (step, high) if bits > BITS_TENFOLD else (low, step)
    return Peer("HTJ2K ~1.6 bit", lambda image: imagecodecs.htj2k_encode(image, level=high, reversible=False),
                imagecodecs.htj2k_decode, near=None)


def spread(images, count):
    count = min(count, len(images))
    return [images[(2 * index + 1) * len(images) // (2 * count)] for index in range(count)]


def cpu(work):
    start = time.process_time()
    given = work()
    return time.process_time() - start, given


def measure_whole(peer, images):
    """Bytes, largest error and sum of squared errors of all images."""
    bytes_, worst, squares = 0, 0, 0.0
    for image in images:
        coded = peer.encode(image)
        error = numpy.abs(peer.decode(coded).astype(numpy.int64) - image)
        bytes_, worst, squares = bytes_ + len(coded), max(worst, int(error.max())), squares + float((error**2).sum())
    if peer.near is not None and worst > peer.near:
        sys.exit(f"{peer.name}: error {worst}")
    return {"bytes": bytes_, "max_error": worst, "rmse": (squares / images.size) ** 0.5}


def time_peer(peer, slices):
    """Pixels a CPU second, encoding and decoding."""
    if peer.slow:
        slices = slices[:SLOW_SLICES]
    encode, coded = cpu(lambda: [peer.encode(image) for image in slices])
    decode, _ = cpu(lambda: [peer.decode(one) for one in coded])
    size = sum(image.size for image in slices)
    return size / encode, size / decode


def ours(series, path, near, timed, what="time", threads=1):
    rows, columns = series.values.shape[1:3]
    arguments = [columns, rows, len(series.values), series.samples, 8 * series.values.dtype.itemsize, int(series.signed), near,
                 ",".join(map(str, series.exact)) or "-", timed, threads, what]
    told = subprocess.run([OURS, path, *map(str, arguments)], check=True, capture_output=True, text=True)
    return json.loads(told.stdout)


def run_series(series, arguments, processors):
    values = series.for_peers()
    deviation = s20(series.values) if series.grey16 else None
    nears = [] if series.palette else sorted({*NEARS, *(max(1, round(k * deviation)) for k in SIGMAS if deviation)})
    timed = max(1, min(len(values), arguments.timed_pixels // values[0].size))
    rows = []
    with tempfile.NamedTemporaryFile() as raw:
        raw.write(series.values.tobytes())
        raw.flush()
        tenfold = [htj2k_tenfold(values)] if series.grey16 else []
        rows += run_group(series, raw.name, 0, lossless_peers() + tenfold, values, timed, arguments.rounds)
        for near in nears:
            rows += run_group(series, raw.name, near, [jpeg_ls(near)], values, timed, arguments.rounds)
        os.sched_setaffinity(0, processors)
        threads = [ours(series, raw.name, 0, max(timed, 8), "threads", 2) for _ in range(arguments.rounds)]
        os.sched_setaffinity(0, {min(processors)})
    headers = len(imagecodecs.zstd_encode(series.headers, level=19))
    return {
        "series": series.name, "frames": len(values), "shape": list(values.shape[1:]), "signed": series.signed, "s20": deviation,
        "file_bytes": series.file_bytes, "pixel_bytes": series.values.nbytes, "samples": series.values.size,
        "header_bytes": headers, "exact": series.exact, "timed_frames": timed, "rows": rows,
        "two_threads": {key: statistics.median(one[key] for one in threads) for key in ("encode", "decode")} if len(values) > 1 else None,
    }


def run_group(series, raw, near, peers, values, timed, rounds):
    """One bound: ours and its peers in turn, round by round."""
    slices = spread(values, timed)
    whole = ours(series, raw, near, timed, "whole")
    rows = [{"codec": "ours", "near": near, **{key: whole[key] for key in SIZES}}]
    rows += [{"codec": peer.name, "near": peer.near, **measure_whole(peer, values)} for peer in peers]
    if whole["max_error"] > near:
        sys.exit(f"ours: error {whole['max_error']} within {near}")
    speeds = [[] for _ in rows]
    learning = []
    for _ in range(rounds):
        told = ours(series, raw, near, timed)
        samples = told["timed_bytes"] / series.values.dtype.itemsize
        learning.append(told["learn_seconds"])
        speeds[0].append((samples / told["encode_seconds"], samples / told["decode_seconds"]))
        for peer, own in zip(peers, speeds[1:]):
            if not (peer.slow and own):
                own.append(time_peer(peer, slices))
    for row, own in zip(rows, speeds):
        row["encode"], row["decode"] = (statistics.median(one[index] for one in own) for index in (0, 1))
    rows[0]["learn_seconds"] = statistics.median(learning)
    rows[0]["encode_and_learn"] = series.values.size / (series.values.size / rows[0]["encode"] + rows[0]["learn_seconds"])
    return [{**row, "bits": row["bytes"] * 8 / series.values.size, "group": near} for row in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--series", action="append", default=[])
    parser.add_argument("--timed-pixels", type=int, default=1_500_000)
    arguments = parser.parse_args()
    processors = os.sched_getaffinity(0)
    # One processor for all: a library that starts threads all the same gains nothing by them.
    os.sched_setaffinity(0, {min(processors)})
    results = []
    for series in all_series(arguments.series):
        print(f"{series.name}: {series.values.shape}", file=sys.stderr, flush=True)
        results.append(run_series(series, arguments, processors))
    report = {"machine": machine(), "versions": versions(), "rounds": arguments.rounds, "nears": NEARS, "sigmas": SIGMAS, "series": results}
    text = markdown(report)
    folder = TOP / "target/bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "codec.json").write_text(json.dumps(report, indent=1))
    (folder / "codec.md").write_text(text)
    if arguments.record:
        (TOP / "docs/benchmarks-codec.md").write_text(text)
    print(text)


def machine():
    cpus = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in cpus.splitlines() if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the end"


def versions():
    rust = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip()
    names = ("jpegls", "jpeg2k", "htj2k", "jpegxl")
    return [rust, *(getattr(imagecodecs, f"{name}_version")() for name in names), f"imagecodecs {imagecodecs.__version__}"]


if __name__ == "__main__":
    main()
