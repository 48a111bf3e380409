"""Compressed input: what other people's encoders made comes out within the bound and honestly named, or exactly as it came."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate_extended, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from lab import compare
from lab.programs import program
from lab.study import mr
from peers import senders
from peers.encoders import ENCODERS, compress, put_frames, stored_values

import harness
from harness import Bench

NEAR = 3
IMAGES = 10
FRAMES = 7


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One generated MR series, uncompressed, of 12 bits."""
    folder = tmp_path_factory.mktemp("native")
    mr.generate(folder, 3 * IMAGES, seed=11)
    first, *others = sorted({pydicom.dcmread(path).SeriesInstanceUID for path in folder.glob("*.dcm")})
    files = [path for path in sorted(folder.glob("*.dcm")) if pydicom.dcmread(path).SeriesInstanceUID == first]
    return files[:IMAGES]


def pack(*arguments: object) -> dict:
    command = [program("scanpost-pack"), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout) if "--json" in arguments else {}


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.dcm")}


def largest_error(sent: list[Path], pulled: Path) -> int:
    """Of all pixels of files with the same names; those that came out must be native."""
    errors = []
    for path in sent:
        data_set = pydicom.dcmread(pulled / path.name)
        assert data_set.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert data_set.file_meta.MediaStorageSOPInstanceUID == data_set.SOPInstanceUID
        errors.append(int(np.abs(stored_values(path) - stored_values(pulled / path.name)).max()))
    return max(errors)


@pytest.mark.parametrize("codec", ENCODERS)
def test_foreign_codestreams_come_out_within_the_bound_and_come_back(codec: str, native: list[Path], tmp_path: Path):
    sent, bundle, shown, exact = (tmp_path / name for name in ("sent", "bundle", "shown", "exact"))
    compress(native, sent, codec)
    report = pack("encode", sent, bundle, "--near", NEAR, "--residual", "--json")
    (series,) = report["series"]
    assert (series["near"], series["passed"]) == (NEAR, 0), series
    pack("decode", bundle, shown)
    error = largest_error(native, shown)
    assert 0 < error == series["max_error"] <= NEAR
    pixels = sum(stored_values(path).size * 2 for path in native)
    assert series["pixel_bytes"] == pixels and series["ratio"] == pytest.approx(pixels / series["coded_pixel_bytes"])
    first = pydicom.dcmread(shown / native[0].name)
    assert f", decoded from {codec.split(',')[0].removesuffix(' lossless')} lossless: near {NEAR}," in first.DerivationDescription
    assert (first.LossyImageCompression, first.LossyImageCompressionMethod) == ("01", "SCANPOST_LATTICE")
    assert float(first.LossyImageCompressionRatio) == pytest.approx(series["ratio"], abs=0.01)
    result = compare.compare_folders([sent], [shown])
    assert result.equal and result.bounded == len(native) and result.max_error == error, result
    pack("decode", bundle, exact, "--exact")
    assert digests(exact) == digests(sent)


@pytest.mark.parametrize("near", ["0", "auto"])
def test_without_loss_the_codestreams_pass_untouched(near: str, native: list[Path], tmp_path: Path):
    """`auto`: a secondary capture, which no rule may touch."""
    sent = compress(native, tmp_path / "sent", "JPEG-LS")
    if near == "auto":
        for path in sent:
            data_set = pydicom.dcmread(path)
            data_set.SOPClassUID = data_set.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
            data_set.save_as(path)
    report = pack("encode", tmp_path / "sent", tmp_path / "bundle", "--near", near, "--residual", "--json")
    assert [series["near"] for series in report["series"]] == [0] and report["pixel_bytes"] == 0
    pack("decode", tmp_path / "bundle", tmp_path / "out")
    assert digests(tmp_path / "out") == digests(tmp_path / "sent")


def test_exact_is_refused_where_the_residual_is_not_there(native: list[Path], tmp_path: Path):
    compress(native[:2], tmp_path / "sent", "RLE")
    pack("encode", tmp_path / "sent", tmp_path / "bundle", "--near", NEAR)
    command = [program("scanpost-pack"), "decode", tmp_path / "bundle", tmp_path / "out", "--exact"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and "residual" in result.stderr


def test_auto_measures_noise_on_decoded_frames(native: list[Path], tmp_path: Path):
    """The same pixels get the same bound however they came."""
    compress(native, tmp_path / "sent", "JPEG 2000")
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in native:
        shutil.copy(path, plain)
    one, other = (pack("encode", folder, tmp_path / "bundle", "--json")["series"][0] for folder in (plain, tmp_path / "sent"))
    keys = ("near", "max_error", "rmse", "sigma", "ratio", "reason", "coded_pixel_bytes")
    assert {key: one[key] for key in keys} == {key: other[key] for key in keys} and one["near"] > 0


def test_a_series_of_several_kinds(native: list[Path], tmp_path: Path):
    """Compressed in three ways, and not: all within the bound, all in one new series of the study for each kind."""
    sent = tmp_path / "sent"
    for codec, part in (("JPEG-LS", native[0:3]), ("JPEG 2000", native[3:6]), ("RLE", native[6:8])):
        compress(part, sent, codec)
    for path in native[8:]:
        shutil.copy(path, sent)
    report = pack("encode", sent, tmp_path / "bundle", "--near", NEAR, "--residual", "--json")
    assert [series["near"] for series in report["series"]] == [NEAR] * 4
    pack("decode", tmp_path / "bundle", tmp_path / "shown")
    assert 0 < largest_error(native, tmp_path / "shown") <= NEAR
    shown = [pydicom.dcmread(path) for path in (tmp_path / "shown").glob("*.dcm")]
    assert len({data_set.SeriesInstanceUID for data_set in shown}) == 1
    pack("decode", tmp_path / "bundle", tmp_path / "exact", "--exact")
    assert digests(tmp_path / "exact") == digests(sent)


def multi_frame(native: list[Path], folder: Path, how: str) -> tuple[Path, np.ndarray]:
    """JPEG-LS frames of one object: `table` each in three fragments, `extended` with an extended offset table, `bare` without any."""
    sources = compress(native[:FRAMES], folder / "single", "JPEG-LS")
    frames = [next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1)) for path in sources]
    data_set = pydicom.dcmread(native[0])
    data_set.NumberOfFrames = FRAMES
    if how == "table":
        put_frames(data_set, frames, JPEGLSLossless, fragments_per_frame=3)
    elif how == "bare":
        put_frames(data_set, frames, JPEGLSLossless, has_bot=False)
    elif how == "untold":
        put_frames(data_set, frames, JPEGLSLossless, fragments_per_frame=3, has_bot=False)
    else:
        put_frames(data_set, frames, JPEGLSLossless)
        parts = encapsulate_extended(frames)
        data_set.PixelData, data_set.ExtendedOffsetTable, data_set.ExtendedOffsetTableLengths = parts
    path = folder / "sent" / "multi.dcm"
    path.parent.mkdir()
    data_set.save_as(path)
    return path, np.concatenate([stored_values(path) for path in native[:FRAMES]])


@pytest.mark.parametrize("how", ["table", "extended", "bare"])
def test_frames_of_one_object(how: str, native: list[Path], tmp_path: Path):
    sent, values = multi_frame(native, tmp_path, how)
    report = pack("encode", sent, tmp_path / "bundle", "--near", NEAR, "--residual", "--json")
    assert report["series"][0]["near"] == NEAR and report["series"][0]["passed"] == 0
    pack("decode", tmp_path / "bundle", tmp_path / "shown")
    shown = pydicom.dcmread(tmp_path / "shown" / sent.name)
    assert 0 < np.abs(stored_values(tmp_path / "shown" / sent.name) - values).max() <= NEAR
    assert "ExtendedOffsetTable" not in shown and "ExtendedOffsetTableLengths" not in shown and shown.NumberOfFrames == FRAMES
    pack("decode", tmp_path / "bundle", tmp_path / "exact", "--exact")
    assert digests(tmp_path / "exact") == digests(sent.parent)


def test_frames_that_nothing_tells_apart_pass(native: list[Path], tmp_path: Path):
    sent, _ = multi_frame(native, tmp_path, "untold")
    report = pack("encode", sent, tmp_path / "bundle", "--near", NEAR, "--json")
    assert report["series"][0]["near"] == 0
    assert report["series"][0]["reason"] == "compressed pixels are carried as they came: fragments cannot be told apart by frames"
    pack("decode", tmp_path / "bundle", tmp_path / "out")
    assert digests(tmp_path / "out") == digests(sent.parent)


def test_one_damaged_codestream_passes_and_the_others_are_bounded(native: list[Path], tmp_path: Path):
    sent = compress(native, tmp_path / "sent", "JPEG 2000")
    damaged = pydicom.dcmread(sent[4])
    (frame,) = generate_frames(damaged.PixelData, number_of_frames=1)
    put_frames(damaged, [frame[: len(frame) // 8] + b"\xff" * (len(frame) // 2)], damaged.file_meta.TransferSyntaxUID)
    damaged.save_as(sent[4])
    report = pack("encode", tmp_path / "sent", tmp_path / "bundle", "--near", NEAR, "--residual", "--json")
    series = report["series"][0]
    assert (series["near"], series["passed"], series["max_error"] > 0) == (NEAR, 1, True), series
    assert series["passed_because"] == ["codestream damaged, or not of its transfer syntax"]
    pack("decode", tmp_path / "bundle", tmp_path / "shown")
    came = pydicom.dcmread(tmp_path / "shown" / sent[4].name)
    assert came.PixelData == damaged.PixelData and came.file_meta.TransferSyntaxUID == damaged.file_meta.TransferSyntaxUID
    assert came.SOPInstanceUID != damaged.SOPInstanceUID and came.DerivationDescription.startswith("Pixels equal to those of the source")
    others = [path for path in native if path.name != sent[4].name]
    assert largest_error(others, tmp_path / "shown") <= NEAR
    assert {str(pydicom.dcmread(path).SeriesInstanceUID) for path in (tmp_path / "shown").glob("*")} == {str(came.SeriesInstanceUID)}
    pack("decode", tmp_path / "bundle", tmp_path / "exact", "--exact")
    assert digests(tmp_path / "exact") == digests(tmp_path / "sent")


def test_threads_change_nothing(native: list[Path], tmp_path: Path):
    compress(native, tmp_path / "sent", "JPEG-LS")
    pack("encode", tmp_path / "sent", tmp_path / "one", "--near", NEAR, "--residual", "--threads", 1)
    pack("encode", tmp_path / "sent", tmp_path / "three", "--near", NEAR, "--residual", "--threads", 3)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "three").read_bytes()
    outputs = []
    for threads in (1, 2, 5):
        folder = tmp_path / f"out-{threads}"
        pack("decode", tmp_path / "one", folder, "--threads", threads)
        outputs.append(digests(folder))
    assert outputs[0] == outputs[1] == outputs[2]


def test_from_a_real_sender_to_pulled_files(bench: Bench, native: list[Path], tmp_path: Path):
    """JPEG-LS, JPEG 2000 and RLE by storescu, each part of the series in its own way."""
    parts = (("JPEG-LS", "-xt", native[:4]), ("JPEG 2000", "-xv", native[4:8]), ("RLE", "-xr", native[8:]))
    sent = {option: compress(part, tmp_path / codec, codec) for codec, option, part in parts}
    bench.start(near=str(NEAR))
    for option, files in sent.items():
        senders.storescu(bench.port, "DR_DEMO", files, option)
    (delivery,) = bench.deliver_and_pull()
    assert delivery["instances"] == len(native) and 0 < delivery["max_error"] <= NEAR
    result = compare.compare_folders([tmp_path / codec for codec, _, _ in parts], bench.reader.files())
    assert result.equal and result.bounded == len(native) and result.max_error == delivery["max_error"], result
