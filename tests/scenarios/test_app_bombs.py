"""What a study could claim to make a browser ask for memory: the app's modules refuse it before they ask, and open the next one."""

import base64
import hashlib
import json
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from lab import bundle_fixture
from lab.bundle_fixture import Server
from lab.programs import program
from peers.memory import Renderers
from playwright.sync_api import Browser, Page

from test_app_viewer import MEMORY_MIB_MAX, WEB, wasm  # noqa: F401

MIB = 1 << 20
# First byte of what is coded by zstd (bundle SPEC 3.3).
ZSTD = b"\x01"
U32_MAX, U16_MAX = (1 << 32) - 1, (1 << 16) - 1
# A page of the module's own memory is never given back: what it has grown to is what the bombs got at most.
MODULE_MIB_MAX = 64
RUN = """
async ([module, calls]) => {
  const { instance: { exports } } = await WebAssembly.instantiateStreaming(fetch(module));
  const said = calls.map(([name, numbers, input]) => {
    const bytes = Uint8Array.from(atob(input), (one) => one.charCodeAt(0));
    const at = exports.scanpost_input(bytes.length);
    if (at === 0) return 'no room';
    new Uint8Array(exports.memory.buffer, at, bytes.length).set(bytes);
    try { return exports[name](...numbers); } catch (error) { return String(error); }
  });
  return [said, exports.memory.buffer.byteLength];
}"""


def zeros(mib: int) -> bytes:
    """A zstd frame of so many MiB of zeros (RFC 8878)."""
    made = subprocess.run(f"head -c {mib}M /dev/zero | zstd -q -19 -c", shell=True, capture_output=True, check=True)
    assert len(made.stdout) < mib * 100, "a bomb is small"
    return made.stdout


def claims(content_bytes: int) -> bytes:
    """The header of a zstd frame of one segment that says how much it holds, and nothing behind it (RFC 8878 3.1.1.1)."""
    return b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", content_bytes)


def geometry(parts: list[list[int]], segments: bytes) -> tuple[list[int], bytes]:
    question = json.dumps({"transfer_syntax": "1.2.840.10008.1.2.1", "heads": [[100, 0]], "parts": parts}).encode()
    return [len(question)], question + segments


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    return {"1 GiB of zeros": zeros(1024), "65 MiB of zeros": zeros(65), "a claim of 2^62 bytes": claims(1 << 62), "a claim of 2 GiB": claims(1 << 31)}


@pytest.fixture(scope="module")
def manifest(ct_study: list[Path], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A genuine one."""
    bundle = tmp_path_factory.mktemp("genuine") / "study.bundle"
    subprocess.run([program("scanpost-pack"), "encode", ct_study[0].parent, bundle], check=True, capture_output=True)
    content = bundle.read_bytes()
    place = bundle_fixture.tell(content, ct_study[0].parent)["places"][0]
    return content[place["offset"]:place["offset"] + place["length"]]


@pytest.fixture
def page(chromium: Browser, wasm: Path):  # noqa: F811
    """A page without a script of its own, beside the app's modules."""
    server = Server(WEB, wasm, {"/test/blank.html": b"<!doctype html><title>bombs</title>", "/favicon.ico": b""})
    page = chromium.new_page()
    page.goto(f"{server.url}/test/blank.html")
    yield page
    server.close()


def run(page: Page, module: str, calls: list[tuple[str, list[int], bytes]]) -> list:
    """What each call said. The module's memory and that of the page's process stay bounded."""
    memory = Renderers(page.context.browser)
    said, module_bytes = page.evaluate(RUN, [f"/wasm/{module}", [[name, numbers, base64.b64encode(content).decode()] for name, numbers, content in calls]])
    memory.look()
    print(f"{module}: {len(calls)} calls, its memory {module_bytes / MIB:.0f} MiB, the page's process {memory.peak_mib:.0f} MiB")
    assert module_bytes <= MODULE_MIB_MAX * MIB
    assert memory.peak_mib <= MEMORY_MIB_MAX
    return said


def taken(calls: list[tuple[str, list[int], bytes]], said: list) -> list:
    """Calls that were not refused by a code: the module took them, or broke."""
    return [(name, numbers, answer) for (name, numbers, _), answer in zip(calls, said, strict=False) if not isinstance(answer, int) or answer >= 0]


def test_the_parser_takes_no_bomb(page: Page, bombs: dict[str, bytes], manifest: bytes):
    nested = subprocess.run(["zstd", "-q", "-c"], input=b'{"segments":' + b"[" * 200_000, capture_output=True, check=True).stdout
    calls = [("scanpost_manifest", [], frame) for frame in (*bombs.values(), nested)]
    for raw_bytes in (100, 64 * MIB, 1 << 31, U32_MAX):
        calls += [("scanpost_geometry", *geometry([[len(frame), raw_bytes]], frame)) for frame in bombs.values()]
        calls.append(("scanpost_geometry", *geometry([[0, raw_bytes]] * 20_000, b"")))
    calls += [("scanpost_index", [pieces], bytes(64)) for pieces in (1, 1 << 30, U32_MAX)]
    said = run(page, "parser.wasm", [*calls, ("scanpost_manifest", [], manifest)])
    assert said[-1] == 0, "the next study opens"
    assert taken(calls, said) == []


def stored(content: bytes) -> bytes:
    """A zstd frame of blocks that are stored, the last one to come (RFC 8878 3.1.1)."""
    blocks = (content[at:at + 100_000] for at in range(0, len(content), 100_000))
    return b"\x28\xb5\x2f\xfd\x00\x68" + b"".join((len(one) << 3).to_bytes(3, "little") + one for one in blocks)


def whole(content: bytes, syntax: str) -> tuple[list[int], bytes]:
    part = stored(content)
    question = json.dumps({"transfer_syntax": syntax, "heads": [[len(content), 0]], "parts": [[len(part), len(content)]], "instance": 0, "sha256": hashlib.sha256(content).hexdigest(), "chunks": []}).encode()
    return [len(question)], question + part


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xffff) + vr + (struct.pack("<HI", 0, len(value)) if vr == b"SQ" else struct.pack("<H", len(value))) + value


def test_documents_take_no_bomb(page: Page, bombs: dict[str, bytes]):
    explicit, deflated = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
    start = element(0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.88.11\0") + element(0x00080018, b"UI", b"1.2\0") + element(0x0020000D, b"UI", b"1.2\0")
    content = lambda items: start + element(0x0040A730, b"SQ", items)  # noqa: E731
    empty, code = b"\xfe\xff\x00\xe0" + bytes(4), element(0x0040A010, b"CS", b"")
    deep = b""
    for _ in range(2_000):
        deep = element(0x0040A730, b"SQ", b"\xfe\xff\x00\xe0" + len(deep).to_bytes(4, "little") + deep)
    # More items and elements than are kept, and a tower; each comes in the page's own memory too, so no more than that.
    sets = (content(empty * 510_000), start + code * 510_000, start + deep)
    calls = [("scanpost_document", *whole(one, explicit)) for one in sets]
    inflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    calls.append(("scanpost_document", *whole(b"".join([inflated.compress(start), *(inflated.compress(bytes(MIB)) for _ in range(1024)), inflated.flush()]), deflated)))
    given = [(name, *whole(*one)) for name in ("scanpost_document",) for one in ((content(empty), explicit),)]
    refused = []
    for raw_bytes in (100, 64 * MIB, 1 << 31, U32_MAX):
        refused += [("scanpost_documents", *geometry([[len(frame), raw_bytes]], frame)) for frame in bombs.values()]
    said = run(page, "documents.wasm", [*refused, *calls, *given])
    assert said[-1] == 0, "the next document opens"
    assert taken(refused, said) == []
    assert all(isinstance(one, int) for one in said), "nothing stopped in the middle"


def test_the_decoders_of_others_take_no_bomb(page: Page, bombs: dict[str, bytes]):
    item = lambda content: b"\xfe\xff\x00\xe0" + struct.pack("<I", len(content)) + content  # noqa: E731
    chunk = lambda raw_bytes, coded: struct.pack("<II", len(coded), raw_bytes) + coded  # noqa: E731
    stored = lambda content: chunk(len(content), b"\0" + content)  # noqa: E731
    # Sizes of 65,535 and 2^32 - 1, more scans than components, a run without an end.
    jpeg = lambda scans: b"\xff\xd8\xff\xc0\0\x0b\x08\x02\x00\x02\x00\x01\x01\x11\0" + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * scans  # noqa: E731
    large = b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0"
    size = b"\xff\x4f\xff\x51\0\x29\0\0" + struct.pack(">8I", *[U32_MAX, U32_MAX, 0, 0] * 2) + b"\0\x01\x07\x01\x01\xff\x90\0\x02"
    contents = [jpeg(100_000), large, size, b"\x01\0\0\0\x40\0\0\0" + bytes(56) + b"\x7f" * 10, b"", bytes(4_096)]
    calls = []
    for codestream in (0, 1, 2, 3, U32_MAX):
        for shape in ((512, 512, 1, 8, 8), (U16_MAX, U16_MAX, 3, 16, 16), (0, 0, 0, 0, 0), (512, 512, 1, 16, U16_MAX)):
            calls += [("scanpost_picture", [codestream, *shape, 7, 1], stored(item(content))) for content in contents]
            calls += [("scanpost_picture", [codestream, *shape, 0, chunks], chunk(raw_bytes, ZSTD + frame)) for frame in bombs.values() for raw_bytes in (1 << 20, U32_MAX) for chunks in (1, U32_MAX)]
    said = run(page, "pictures.wasm", calls)
    assert taken(calls, said) == []


@pytest.mark.parametrize("module", ["simd.wasm", "plain.wasm"])
def test_the_decoder_takes_no_bomb(page: Page, bombs: dict[str, bytes], module: str):
    packed = [ZSTD + frame for frame in bombs.values()]
    calls = [("scanpost_model", [raw_bytes], frame) for raw_bytes in (1_000, 1 << 20, 65 * MIB, 1 << 31, U32_MAX) for frame in packed]
    shapes = [(U16_MAX, U16_MAX, U16_MAX, U16_MAX), (U16_MAX, U16_MAX, 1, 16), (512, 512, 1, 16), (0, 0, 0, 0), (1, U16_MAX, 3, 8)]
    for columns, rows, samples, bits in shapes:
        for raw_bytes in (2 * MIB, 1 << 31, U32_MAX):
            for content in (b"", bytes(64), b"\xff" * 4_096, *packed):
                layout = [columns, rows, samples, bits, 7, raw_bytes]
                calls.append(("scanpost_slab", [*layout, 0, min(len(content), 16)], content))
                calls.append(("scanpost_slab", [*layout, 2, U32_MAX], content))
                calls.append(("scanpost_coarse", layout, content))
                calls.append(("scanpost_exact", layout, content))
    said = run(page, module, calls)
    assert taken(calls, said) == []


def test_a_link_asks_for_no_more_memory_than_a_phone_has(page: Page):
    calls = [("scanpost_argon2id", [memory_kib, 1, 1], bytes(40)) for memory_kib in (0, 4 << 20, U32_MAX)]
    calls += [("scanpost_argon2id", [8_192, U32_MAX, 1], bytes(40)), ("scanpost_argon2id", [8_192, 1, U32_MAX], bytes(40))]
    assert taken(calls, run(page, "device.wasm", calls)) == []


def test_input_beyond_what_a_call_can_need_gets_no_room(page: Page):
    room = "async (bytes) => (await WebAssembly.instantiateStreaming(fetch('/wasm/parser.wasm'))).instance.exports.scanpost_input(bytes) !== 0"
    assert [page.evaluate(room, size) for size in (48 * MIB, 49 * MIB, U32_MAX)] == [True, False, False]
