"""What `benches/compare` found, as the section of docs/benchmarks.md: tables, ratios, and in words where we lose."""

import re
import subprocess
from datetime import date
from pathlib import Path
from statistics import median

BEGIN, END = "<!-- benches/compare -->", "<!-- end of benches/compare -->"
PACKAGES = ("dcmtk", "orthanc", "orthanc-gdcm", "postfix", "dovecot-core")
# Further from 1 than the noise of a run.
CLEAR = 0.05


def section(found: dict) -> str:
    run = found["run"]
    lines = [
        "## Beside DCMTK and Orthanc", "",
        f"Written by `benches/compare --record` on {date.today()}: {processor()}, {threads()} threads, load {run['load']} at the beginning and {run['load_after']} at the end"
        f"{', ' + run['note'] if run['note'] else ''}; {', '.join(versions())}. {run['rounds']} rounds in which all take turns; medians, and the least and largest. "
        "Ratios are ours to theirs: of images a second more than 1 is better for us, of bytes and seconds less.", "",
        *received(found["received"], run["images"]), *packed(found["packed"]), *mailed(found["mailed"], run),
        "### Where we lose", "", *losses(found), "",
    ]
    return "\n".join(lines)


def record(document: Path, text: str) -> None:
    """In the place of the section of an earlier run, or at the end."""
    before = document.read_text()
    marked = f"{BEGIN}\n{text}{END}"
    place = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    document.write_text(place.sub(lambda _: marked, before) if BEGIN in before else f"{before.rstrip()}\n\n{marked}\n")


def received(values: dict[str, list[float]], images: int) -> list[str]:
    ours = median(values["scanpost"])
    words = {"scanpost": "Scanpost, encrypted spool, durable before each answer", "storescp": "DCMTK storescp, `+B -pdu 131072`, never synced",
             "orthanc": "Orthanc, synced storage, SQLite index"}
    rows = [f"| {words[name]} | {spread(rates, 0)} | {ratio(ours, median(rates)) if name != 'scanpost' else ''} |" for name, rates in values.items()]
    return ["### Receiving", "", f"{images} CT images of 512 KiB by one storescu over one association.", "",
            "| | images a second | ratio |", "|---|---|---|", *rows, ""]


def packed(found: dict[str, dict]) -> list[str]:
    lines = ["### A study as one file", "", "Generated head CT and head MR. Ours and DCMTK from files, Orthanc from its own storage over its REST interface; ours on all processors.", "",
             "| | " + " | ".join(f"{name}: MB | ÷ files | seconds" for name in found) + " |", "|---|" + "---|---|---|" * len(found)]
    for work in next(iter(found.values()))["values"]:
        cells = []
        for study in found.values():
            values = study["values"][work]
            size = values[0]["bytes"]
            cells += [f"{size / 1e6:.2f}", f"{study['bytes'] / size:.2f} : 1", spread([one["seconds"] for one in values])]
        lines.append(f"| {work} | " + " | ".join(cells) + " |")
    return [*lines, "", "*auto* is within a bound below the noise of each series ([decisions/0005-near-auto.md](decisions/0005-near-auto.md)); all else is without loss.", ""]


def mailed(values: dict[str, list], run: dict) -> list[str]:
    ours = {key: median(one[key] for one in values["scanpost, auto"]) for key in ("seconds", "bytes")}
    lines = ["### From the PACS to the mailbox", "",
             f"A head MR of {run['mr_images']} images that lies in Orthanc, until the last mail of it lies in the doctor's mailbox, on the same Postfix and Dovecot. Ours is asked to be whole, "
             "sealed for the doctor, cut into pieces and tried again where a mail server fails; theirs is one mail with a ZIP that whoever runs the mail server can read, "
             "and that a mail server with a usual limit of 20 MB does not take.", "",
             "| | MB of mail | seconds | ours (auto) ÷ this: bytes | seconds |", "|---|---|---|---|---|"]
    for name, one in values.items():
        size, seconds = median(each["bytes"] for each in one), [each["seconds"] for each in one]
        shown = "" if name == "scanpost, auto" else f"{ratio(ours['bytes'], size)} | {ratio(ours['seconds'], median(seconds))}"
        lines.append(f"| {name} | {size / 1e6:.2f} | {spread(seconds)} | {shown or ' | '} |")
    return [*lines, "", f"Ours waits {run['settle_ms'] / 1000} s after the last image (2 s by default) and asks the PACS before it begins, and looks for its last mail in the mailbox before it tells the doctor: both are in its seconds.", ""]


def losses(found: dict) -> list[str]:
    """Every figure that is worse than that of another."""
    lost = []
    rates = {name: median(values) for name, values in found["received"].items()}
    for name in ("storescp", "orthanc"):
        if rates["scanpost"] < rates[name] * (1 - CLEAR):
            lost.append(f"- Receiving: {ratio(rates['scanpost'], rates[name])} of the images a second of {name}.")
    for study, one in found["packed"].items():
        lost += worse(f"{study} as one file", one["values"], "scanpost, lossless", ("bytes", "seconds"))
        lost += worse(f"{study} as one file", one["values"], "scanpost, auto", ("bytes", "seconds"))
    for ours in ("scanpost, lossless", "scanpost, auto"):
        lost += worse("To the mailbox", found["mailed"], ours, ("bytes", "seconds"))
    return lost or [f"- Nowhere by more than {CLEAR:.0%} in this run."]


def worse(what: str, values: dict[str, list], ours: str, keys: tuple[str, ...]) -> list[str]:
    middle = {name: {key: median(each[key] for each in one) for key in keys} for name, one in values.items()}
    others = [name for name in middle if not name.startswith("scanpost")]
    return [f"- {what}, {ours.split(', ')[1]}: {ratio(middle[ours][key], middle[name][key])} times the {key} of {name}."
            for key in keys for name in others if middle[ours][key] > middle[name][key] * (1 + CLEAR)]


def spread(values: list[float], digits: int = 2) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}"


def processor() -> str:
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return names[0] if names else "unknown processor"


def threads() -> int:
    return len(re.findall(r"^processor", Path("/proc/cpuinfo").read_text(), re.MULTILINE))


def versions() -> list[str]:
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES], capture_output=True, text=True, check=True)
    return [line.strip() for line in shown.stdout.splitlines()]
