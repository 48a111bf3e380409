"""Planted patients, and a search for them in any bytes: every encoding that mail, logs and DICOM could hide them in."""

import base64
import gzip
import quopri
import re
import urllib.parse
import zlib
from dataclasses import dataclass

import numpy as np

# A needle is found by its first eight bytes, looked for at every offset at once, and then compared whole.
KEY_BYTES = 8
# Most places are left aside by their first three bytes.
START_MASK = np.uint64(0xFFFFFF)
# Encodings of a text, by Python's names. Half-width kana are JIS X 0201 in Shift JIS (0xA1 to 0xDF), in ISO 2022 after ESC ( I.
ENCODINGS = ("utf-8", "iso2022_jp", "iso2022_jp_2", "iso2022_jp_3", "iso2022_jp_ext", "shift_jis", "euc_jp", "utf-16-le", "utf-16-be")
LATIN = ("ascii", "utf-16-le", "utf-16-be")
# What looks like a packed stream is followed so far; noise looks like one at every 20,000th byte.
PACKED_BYTES_MAX, UNPACKED_BYTES_MAX = 1 << 16, 1 << 20

KANJI = ("山田", "佐藤", "鈴木", "高橋", "伊藤", "渡辺", "中村", "小林", "加藤", "吉田")
GIVEN = ("太郎左衛門", "花子次郎丸", "健太郎之助", "美智子姫丸")
KANA = ("ヤマダ", "サトウ", "スズキ", "タカハシ", "イトウ", "ワタナベ", "ナカムラ", "コバヤシ", "カトウ", "ヨシダ")
HIRAGANA = ("やまだ", "さとう", "すずき", "たかはし", "いとう", "わたなべ", "なかむら", "こばやし", "かとう", "よしだ")
HALF_WIDTH = ("ﾔﾏﾀﾞ", "ｻﾄｳ", "ｽｽﾞｷ", "ﾀｶﾊｼ", "ｲﾄｳ", "ﾜﾀﾅﾍﾞ", "ﾅｶﾑﾗ", "ｺﾊﾞﾔｼ", "ｶﾄｳ", "ﾖｼﾀﾞ")
LATIN_NAMES = ("Yamada", "Sato", "Suzuki", "Takahashi", "Ito", "Watanabe", "Nakamura", "Kobayashi", "Kato", "Yoshida")


@dataclass(frozen=True)
class Patient:
    """One planted patient. `texts` are what must never be seen outside."""

    number: int
    charset: str | list[str]
    name: str
    texts: tuple[str, ...]
    patient_id: str


def patients() -> list[Patient]:
    """Forty: ten each of kanji with kana, of half-width with kanji, of UTF-8 without escapes, of Latin."""
    return [_patient(number) for number in range(40)]


def _patient(number: int) -> Patient:
    family, style = number % 10, number // 10
    patient_id = f"CANARY-{number:02}-{number * 7919 + 10007}"
    latin = f"{LATIN_NAMES[family]}{number:02}^Canary{number:02}"
    given = GIVEN[style % len(GIVEN)]
    kanji, kana = f"{KANJI[family]}{given}", f"{HIRAGANA[family]}かなりあ{number:02}"
    katakana, half = f"{KANA[family]}カナリア{number:02}", f"{HALF_WIDTH[family]}ｶﾅﾘｱ{number:02}"
    if style == 0:
        name, texts, charset = f"{latin}={kanji}^{katakana}={kana}^x", (kanji, katakana, kana), ["", "ISO 2022 IR 87"]
    elif style == 1:
        name, texts, charset = f"{half}={kanji}^x", (half, kanji), ["ISO 2022 IR 13", "ISO 2022 IR 87"]
    elif style == 2:
        name, texts, charset = f"{latin}={kanji}^{katakana}={kana}^x", (kanji, katakana, kana), "ISO_IR 192"
    else:
        name, texts, charset = latin, (), "ISO_IR 100"
    return Patient(number, charset, name, (*texts, *_latin_texts(style, latin), patient_id), patient_id)


def _latin_texts(style: int, latin: str) -> tuple[str, ...]:
    return () if style == 1 else (latin, latin.upper())


def encoded(text: str) -> dict[str, bytes]:
    """The text in each character set that can hold it."""
    found = {}
    for encoding in LATIN if text.isascii() else ENCODINGS:
        try:
            found[encoding] = text.encode(encoding)
        except UnicodeEncodeError:
            continue
    return found


def forms(text: str) -> dict[str, bytes]:
    """Every form of a text that is searched for, by its name."""
    found: dict[str, bytes] = {}
    for encoding, raw in encoded(text).items():
        found[encoding] = raw
        found[f"{encoding} hex"] = raw.hex().encode()
        found[f"{encoding} HEX"] = raw.hex().upper().encode()
        found[f"{encoding} hex spaced"] = raw.hex(" ").encode()
        # RFC 2045 6.7 with every byte escaped, and as little as possible; RFC 2047 4.2 writes the same with "_" for a space.
        found[f"{encoding} quoted"] = b"".join(b"=%02X" % byte for byte in raw)
        found[f"{encoding} quoted-printable"] = quopri.encodestring(raw).replace(b"=\n", b"").strip(b"\n")
        # RFC 2231 4, and URLs.
        found[f"{encoding} percent"] = b"".join(b"%%%02X" % byte for byte in raw)
        found[f"{encoding} percent short"] = urllib.parse.quote_from_bytes(raw).encode()
        for offset in range(3):
            found[f"{encoding} base64 +{offset}"] = base64_within(raw, offset)
    if not text.isascii():
        found["json"] = text.encode("ascii", "backslashreplace")
    # A form that is spelt like another one is searched for once.
    return {name: needle for name, needle in found.items() if len(needle) >= KEY_BYTES}


def base64_within(raw: bytes, offset: int) -> bytes:
    """Those base64 digits that `raw` decides alone when it begins at `offset` modulo 3; RFC 2047's B encoding is the same."""
    digits = base64.b64encode(bytes(offset) + raw)
    first = -(-offset * 8 // 6)
    return digits[first : (offset + len(raw)) * 8 // 6]


class Search:
    """Looks for all forms of all patients in one go."""

    def __init__(self, planted: list[Patient]):
        self.needles: dict[bytes, tuple[int, str, str]] = {}
        for patient in planted:
            for text in patient.texts:
                for name, needle in forms(text).items():
                    self.needles.setdefault(needle, (patient.number, text, name))
        by_key: dict[int, list[bytes]] = {}
        for needle in self.needles:
            by_key.setdefault(int.from_bytes(needle[:KEY_BYTES], "little"), []).append(needle)
        self.by_key, self.keys = by_key, np.array(sorted(by_key), np.uint64)
        self.starts = np.zeros(int(START_MASK) + 1, bool)
        self.starts[self.keys & START_MASK] = True

    def hits(self, content: bytes) -> set[bytes]:
        """Needles found in the content, in its lines joined, and in whatever is packed in it."""
        found: set[bytes] = set()
        for view in views(content):
            found |= self._in_view(view)
        return found

    def _in_view(self, view: bytes) -> set[bytes]:
        found: set[bytes] = set()
        for start in range(KEY_BYTES):
            count = (len(view) - start) // KEY_BYTES
            if count <= 0:
                break
            values = np.frombuffer(view, "<u8", count, start)
            for index in np.nonzero(self.starts[values & START_MASK])[0]:
                at = start + int(index) * KEY_BYTES
                found |= {needle for needle in self.by_key.get(int(values[index]), ()) if view.startswith(needle, at)}
        return found


def views(content: bytes) -> list[bytes]:
    """As it is; with the line ends of base64 and of quoted-printable taken out; and what gzip or zlib streams in it hold."""
    joined = re.sub(rb"=?\r?\n[ \t]?", b"", content)
    unpacked = [plain for at in _packed_at(content) if (plain := _unpacked(content[at : at + PACKED_BYTES_MAX]))]
    return [content, joined, *unpacked]


def _packed_at(content: bytes) -> list[int]:
    return [match.start() for match in re.finditer(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]", content)]


def _unpacked(packed: bytes) -> bytes:
    """What a stream that begins here gives, as far as it goes; 32 takes gzip and zlib alike."""
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        return decoder.decompress(packed, UNPACKED_BYTES_MAX)
    except zlib.error:
        return b""


def positives(planted: list[Patient]) -> list[tuple[str, bytes, bytes]]:
    """(what, bytes to plant, needle that must be found): each patient's texts in each form, and within gzip, zlib and broken lines."""
    made = []
    for patient in planted:
        for text in patient.texts:
            for name, needle in forms(text).items():
                made.append((f"{patient.number} {name}", needle, needle))
            raw = text.encode()
            made.append((f"{patient.number} gzip", gzip.compress(b"padding " + raw + b" padding"), raw))
            made.append((f"{patient.number} zlib", zlib.compress(raw * 3), raw))
            body = base64.b64encode(bytes(3 * (patient.number % 19)) + raw)
            lines = b"\r\n".join(body[at : at + 76] for at in range(0, len(body), 76))
            made.append((f"{patient.number} base64 lines", lines, base64_within(raw, 0)))
            quoted = b"".join(b"=%02X" % byte for byte in raw)
            made.append((f"{patient.number} soft line break", quoted[:6] + b"=\r\n" + quoted[6:], quoted))
    return made
