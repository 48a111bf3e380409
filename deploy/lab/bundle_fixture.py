"""A bundle file told as the browser's Delivery tells it (spec-bundle 5, 2, 4), and a server of the app's files beside it: for tests of the viewer alone."""

import json
import struct
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import apply_color_lut
from pydicom.uid import CTImageStorage, JPEGBaseline8Bit, JPEGExtended12Bit

TRAILER = struct.Struct("<QI8s")
ROW = struct.Struct("<QI32s")
# As the real portal says it (docs/spec-portal.md), so that the tests see what it refuses.
POLICY = ("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; connect-src 'self'; worker-src 'self'; "
          "manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types scanpost")
TYPES = {".js": "text/javascript", ".html": "text/html", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm", ".svg": "image/svg+xml",
         ".webmanifest": "application/manifest+json"}
# By transfer syntax (PS3.6 A), as compressor/src/encapsulated/syntax.rs numbers them.
CODESTREAMS = {"1.2.840.10008.1.2.5": 0, **{f"1.2.840.10008.1.2.4.{end}": 1 for end in (50, 57, 70)}, **{f"1.2.840.10008.1.2.4.{end}": 2 for end in (90, 91)}}
DECODED = {1: {"YBR_FULL": "RGB", "YBR_FULL_422": "RGB"}, 2: {"YBR_RCT": "RGB", "YBR_ICT": "RGB", "YBR_FULL": ""}}


def tell(bundle: bytes, folder: Path, note: str | None = None) -> dict:
    """`folder` holds the files that were packed: geometry is read from them."""
    table, count, end = TRAILER.unpack(bundle[-TRAILER.size:])
    assert end == b"STUDYEND"
    places = [dict(zip(("offset", "length"), ROW.unpack_from(bundle, table + ROW.size * n)[:2], strict=True)) for n in range(count)]
    first = places[0]
    manifest = json.loads(subprocess.run(["zstd", "-dc"], input=bundle[first["offset"]:first["offset"] + first["length"]], capture_output=True, check=True).stdout)
    segments = [{"number": n, "kind": one["kind"], "series": one["series"], "instance": one["instance"], "bytes": one["coded_bytes"], "rawBytes": one["raw_bytes"], "slab": None}
                for n, one in enumerate(manifest["segments"], 1)]
    series, geometries = [], []
    for index, one in enumerate(manifest["series"]):
        files = [head(folder / instance["name"]) for instance in one["instances"]]
        layouts = [layout(instance.get("image") or instance.get("carried", {}).get("image"), file, "carried" in instance) for instance, file in zip(one["instances"], files, strict=True)]
        own = [segment for segment in segments if segment["series"] == index]
        of = {kind: [segment["number"] for segment in own if segment["kind"] == kind] for kind in ("headers", "model", "coarse", "pixels", "residual")}
        series.append({"index": index, "modality": one["modality"], "description": "", "banner": manifest["banners"][index], "mixedPatients": one.get("mixed_patients", False),
                       "near": one["near"], "maxError": one["max_error"], "rmse": one.get("rmse", 0), "ratio": one.get("ratio", 0), "referenceOnly": one.get("reference_only", False),
                       "keyImages": [], "instances": [instance.get("sop_instance") for instance in one["instances"]], "layout": layouts, "transferSyntax": one["transfer_syntax"],
                       "heads": [[instance["head_bytes"], instance["tail_bytes"]] for instance in one["instances"]],
                       "whole": {at: instance["sha256"] for at, instance in enumerate(one["instances"]) if not layouts[at] and not instance.get("compressed")},
                       "codestream": CODESTREAMS.get(one["transfer_syntax"]), "slabs": slabs(own, of, layouts) + carried(own, one["instances"]), "model": next(iter(of["model"]), None), "headers": of["headers"]})
        geometries.append([geometry(file) | decoded(instance, file) for instance, file in zip(one["instances"], files, strict=True)])
        for at, slab in enumerate(series[-1]["slabs"]):
            for number in (slab["coarse"], *slab["pixels"], slab["residual"]):
                if number is not None:
                    segments[number - 1]["slab"] = at
    return {"id": "0" * 32, "onePatient": one_patient(series), "site": "hospital.example", "completeness": {"is": "proved", "instances": len(geometries[0])}, "residualOf": None, "exactCanBeAsked": True, "note": note, "series": series, "segments": segments,
            "geometries": geometries, "places": places}


def head(path: Path) -> pydicom.Dataset:
    """What lies before the pixels; nothing of what cannot be read."""
    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except (pydicom.errors.InvalidDicomError, EOFError, OSError):
        return pydicom.Dataset()


def one_patient(series: list[dict]) -> bool:
    """Whether no two name different patients."""
    names = [{one["banner"].get(name) for one in series} - {None} for name in ("name_alphabetic", "patient_id", "birth_date")]
    return all(len(one) <= 1 for one in names) and not any(one["mixedPatients"] for one in series)


def layout(image: dict | None, file: pydicom.Dataset, carries: bool) -> dict | None:
    return image and {"columns": image["columns"], "rows": image["rows"], "samples": image["samples_per_pixel"], "bits": image["bits_allocated"], "stored": image["bits_stored"],
                      "signed": image["signed"], "carried": carries, "planar": image["planar"], "bigEndian": image["big_endian"], "frames": image["frames"],
                      "photometric": file.get("PhotometricInterpretation", "")}


def slabs(own: list[dict], of: dict, layouts: list[dict | None]) -> list[dict]:
    found, frame_at, at = [], 0, None
    pixels = [segment for segment in own if segment["kind"] == "pixels"]
    # One for each slab, or none at all (spec-bundle 2.1).
    residuals = of["residual"] or [None] * len(pixels)
    for coarse, segment, residual in zip(of["coarse"], pixels, residuals, strict=True):
        if segment["instance"] != at:
            at, offset = segment["instance"], 0
        one = layouts[at]
        frame = one["columns"] * one["rows"] * one["samples"] * one["bits"] // 8
        frame_at = offset // frame
        offset += segment["rawBytes"]
        found.append({"instance": at, "frame": frame_at, "coarse": coarse, "pixels": [segment["number"]], "residual": residual, "rawBytes": segment["rawBytes"], "references": []})
    for number in range(1, len(found), 2):
        found[number]["references"] = [other for other in (number - 1, number + 1) if alike(found, layouts, number, other)]
        if number - 1 not in found[number]["references"]:
            found[number]["references"] = []
    return found


def carried(own: list[dict], instances: list[dict]) -> list[dict]:
    """Frames that are carried as they came, each with its chunks."""
    found = []
    for at, instance in enumerate(instances):
        chunks = iter([segment["number"] for segment in own if segment["kind"] == "opaque" and segment["instance"] == at])
        for frame, count in enumerate(instance.get("carried", {}).get("chunks", [])):
            image = instance["carried"]["image"]
            raw_bytes = image["columns"] * image["rows"] * image["samples_per_pixel"] * image["bits_allocated"] // 8
            found.append({"instance": at, "frame": frame, "coarse": None, "pixels": [next(chunks) for _ in range(count)], "residual": None, "rawBytes": raw_bytes, "references": []})
    return found


def decoded(instance: dict, file: pydicom.Dataset) -> dict:
    """What the page's decoders make of the colours of what is carried as it came."""
    photometric = DECODED.get(CODESTREAMS.get(str(file.file_meta.TransferSyntaxUID)), {}).get(file.get("PhotometricInterpretation")) if "carried" in instance else None
    return {} if photometric is None else {"photometric": photometric}


def alike(found: list[dict], layouts: list[dict | None], number: int, other: int) -> bool:
    """Whole frames of one sample and one shape (spec-bundle 3.2)."""
    if other >= len(found):
        return False
    one, two = (layouts[found[n]["instance"]] for n in (number, other))
    whole = found[number]["rawBytes"] >= one["columns"] * one["rows"] * one["bits"] // 8
    shape = ("columns", "rows", "bits", "signed", "bigEndian")
    return whole and one["samples"] == two["samples"] == 1 and found[number]["rawBytes"] == found[other]["rawBytes"] and all(one[name] == two[name] for name in shape)


def geometry(file: pydicom.Dataset) -> dict:
    """`frames` has that of each frame where the object tells them apart (PS3.3 C.7.6.16)."""
    photometric = file.get("PhotometricInterpretation", "")
    of_image = {"number": int(file.InstanceNumber) if "InstanceNumber" in file else None, "padding": file.get("PixelPaddingValue"), "photometric": photometric, "told": photometric,
                "seriesNumber": file.get("SeriesNumber"), "frameOfReference": file.get("FrameOfReferenceUID"),
                "frameTime": file.get("FrameTime"), "cineRate": file.get("CineRate"), "displayRate": file.get("RecommendedDisplayFrameRate"),
                "highBit": file.get("HighBit"), "lossy": file.get("LossyImageCompression") == "01" or file.file_meta.TransferSyntaxUID in (JPEGBaseline8Bit, JPEGExtended12Bit),
                "inverse": photometric == "MONOCHROME1" or file.get("PresentationLUTShape") == "INVERSE",
                **tables(file)}
    shared = [item for group in file.get("SharedFunctionalGroupsSequence", [])[:1] for item in items(group)]
    frames = [frame_geometry([*items(frame), *shared, file]) | of_image for frame in file.get("PerFrameFunctionalGroupsSequence", [])]
    # Of a frame without an item nothing is known.
    return frame_geometry([*shared, file]) | of_image | ({"frames": frames, "known": False} if frames else {})


def items(group: pydicom.Dataset) -> list[pydicom.Dataset]:
    """The first item of each functional group."""
    return [element.value[0] for element in group if element.VR == "SQ" and element.value]


def frame_geometry(sources: list[pydicom.Dataset]) -> dict:
    """The first source that has an attribute counts."""
    def numbers(name: str) -> list[float] | None:
        value = next((one.get(name) for one in sources if name in one), None)
        return None if value is None else [float(one) for one in (value if isinstance(value, (list, pydicom.multival.MultiValue)) else [value])]
    def number(name: str) -> float | None:
        return (numbers(name) or [None])[0]
    detector, spacing = numbers("ImagerPixelSpacing"), numbers("PixelSpacing")
    is_rescaled = all(numbers(name) for name in ("RescaleSlope", "RescaleIntercept"))
    is_ct = f"{sources[-1].get('SOPClassUID', '')}.".startswith(f"{CTImageStorage}.")
    calibration = next((one.PixelSpacingCalibrationType for one in sources if "PixelSpacingCalibrationType" in one), None)
    return {"known": True, "orientation": numbers("ImageOrientationPatient"), "position": numbers("ImagePositionPatient"), "spacing": spacing or detector,
            "atDetector": detector is not None and spacing in (None, detector) and not calibration,
            "calibrated": bool(calibration) or (detector is not None and spacing not in (None, detector)), "bValue": number("DiffusionBValue"),
            "slope": number("RescaleSlope") or 1, "intercept": number("RescaleIntercept") or 0, "center": number("WindowCenter"), "width": number("WindowWidth"),
            "rescaleType": next((one.RescaleType for one in sources if "RescaleType" in one), "HU" if is_ct else "") if is_rescaled else "",
            "voiFunction": next((one.VOILUTFunction for one in sources if "VOILUTFunction" in one), "LINEAR")}


def tables(file: pydicom.Dataset) -> dict:
    """Those that `apply_modality_lut`, `apply_voi` and `apply_color_lut` of pydicom take."""
    def table(descriptor: list[int], data: bytes | list[int]) -> dict:
        count, first, bits = descriptor
        entries = data if not isinstance(data, bytes) else struct.unpack(f"<{len(data) // 2}H", data) if len(data) >= 2 * (count or 65536) else list(data)
        return {"first": first, "bits": bits, "entries": list(entries)[:count or 65536]}
    def of_sequence(name: str) -> dict | None:
        return table(file[name].value[0].LUTDescriptor, file[name].value[0].LUTData) if file.get(name) else None
    palette = None
    if file.get("PhotometricInterpretation") == "PALETTE COLOR":
        # By a ramp of all indices, so that segments are pydicom's matter.
        count, first, bits = file.RedPaletteColorLookupTableDescriptor
        ramp = np.arange(first, first + (count or 65536))
        palette = [{"first": first, "bits": bits, "entries": colour.tolist()} for colour in apply_color_lut(ramp.reshape(1, -1), file)[0].T]
    # An angiogram's leads back to the intensity of X-rays (PS3.4 N.2.1.2).
    is_angiogram = file.get("SOPClassUID", "").startswith("1.2.840.10008.5.1.4.1.1.12.")
    return {"modalityTable": None if is_angiogram else of_sequence("ModalityLUTSequence"), "voiTable": of_sequence("VOILUTSequence"), "palette": palette, "tablesKnown": True}


class Server:
    """The app's files, and what the test adds, on loopback."""

    def __init__(self, web: Path, wasm: Path, added: dict[str, bytes]):
        outer = self
        self.added = added

        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                content = outer.added.get("/" if path.startswith("/c/") else path)
                if content is None:
                    file = (wasm if path.startswith("/wasm/") else web) / path.removeprefix("/wasm/" if path.startswith("/wasm/") else "/")
                    content = file.read_bytes() if file.is_file() else None
                if content is None:
                    self.send_error(404)
                    return
                asked = self.headers.get("Range")
                if asked:
                    start, end = asked.removeprefix("bytes=").split("-")
                    content = content[int(start):int(end) + 1]
                self.send_response(206 if asked else 200)
                for name, value in (("Content-Type", TYPES.get(Path(path).suffix or ".html", "application/octet-stream")), ("Content-Length", str(len(content))),
                                    ("Content-Security-Policy", POLICY), ("Cache-Control", "no-store")):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://localhost:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
