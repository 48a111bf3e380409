"""The tables of `benches/codec` as markdown: every series, the worst first."""

INTRODUCTION = """# The pixel codec beside others

Written by `benches/codec --record`; do not edit. How it is measured: `benches/codec.py`. All series that were measured are shown, those where we gain
least over JPEG-LS without loss first. `files` = file bytes : (coded pixels + headers as one zstd-19 stream), the same headers for every codec;
`pixels` = pixel bytes : coded pixels. Speeds are pixels a CPU second of one thread, as a ratio to CharLS without loss on the same slices of the same
series (`enc`, `dec`; above 1 = faster). Ours are timed on as many slices that stand alone as slices that are predicted from their neighbours. Our
sizes have the model and both parts of every slab in them; our encoding times do not have the learning of the model, which is once a series and shown
apart, but in `enc + learning`, which is of the whole series. Our bound keeps padding and a least value that fills areas exact as well; JPEG-LS keeps
neither.
"""


def markdown(report):
    series = sorted(report["series"], key=gain)
    parts = [INTRODUCTION, f"Machine: {report['machine']}. {', '.join(report['versions'])}. Medians of {report['rounds']} rounds.\n"]
    parts.append(summary(series, report["nears"], report["sigmas"]))
    parts.append(access(series))
    parts.append(losses(series))
    parts += [table(one) for one in series]
    return "\n".join(parts)


def row_of(one, codec, near):
    return next((row for row in one["rows"] if row["codec"] == codec and row["group"] == near), None)


def jpeg_ls_of(one, near):
    return row_of(one, "JPEG-LS" if near == 0 else f"JPEG-LS near {near}", near)


def gain(one, near=0):
    """Bits saved against JPEG-LS, as a part of them."""
    return 1 - row_of(one, "ours", near)["bits"] / jpeg_ls_of(one, near)["bits"]


def nears(one):
    return sorted({row["group"] for row in one["rows"]})


def sigma_near(one, count):
    return max(1, round(count * one["s20"])) if one["s20"] else None


def percent(part):
    return f"{-100 * part:+.1f} %".replace("-", "−")


def summary(series, wanted, sigmas):
    titles = ["series", "near 0", "against JPEG XL e7", *(f"near {near}" for near in wanted), *(f"{count} s20" for count in sigmas), "dec", "enc",
              "enc + learning", "learning", "2 threads enc, dec"]
    lines = ["## Bits against JPEG-LS, and speed without loss\n", "| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for one in series:
        ours, charls, jxl = row_of(one, "ours", 0), jpeg_ls_of(one, 0), row_of(one, "JPEG XL e7", 0)
        cells = [one["series"], percent(gain(one)), percent(1 - ours["bits"] / jxl["bits"])]
        for near in (*wanted, *(sigma_near(one, count) for count in sigmas)):
            cells.append(percent(gain(one, near)) if near in nears(one) else "")
        cells += [f"{ours[key] / charls[side]:.2f}" for key, side in
                  (("decode", "decode"), ("encode", "encode"), ("encode_and_learn", "encode"))]
        cells.append(f"{ours['learn_seconds']:.2f} s")
        two = one["two_threads"]
        cells.append(f"{two['encode']:.2f}, {two['decode']:.2f}" if two else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def access(series):
    """What a reader fetches for one image."""
    lines = ["## One image: bytes of its coarse part, and of all that it needs\n",
             "`needs` = bytes of an image and of those it is predicted from, over its own; the most of all images.\n",
             "| series | near | mean coarse part | largest coarse part | coarse parts of all bytes | needs | references |", "|---|---|---|---|---|---|---|"]
    for one in series:
        for row in (row for row in one["rows"] if row["codec"] == "ours"):
            part = 100 * row["coarse_mean"] * one["frames"] / row["bytes"]
            lines.append(f"| {one['series']} | {row['group']} | {row['coarse_mean']:.0f} | {row['coarse_most']} | {part:.1f} % "
                         f"| {row['fetched_most']:.2f} | {'yes' if row['uses_references'] else 'no'} |")
    return "\n".join(lines) + "\n"


def losses(series):
    """Where another codec is ahead, in words, so that nobody has to look for it."""
    found = []
    for one in series:
        ours = row_of(one, "ours", 0)
        for row in one["rows"]:
            if row["group"] == 0 and row["codec"] not in ("ours", "HTJ2K ~1.6 bit") and row["bits"] < ours["bits"]:
                found.append(f"{one['series']}: {row['codec']} has {100 * (1 - row['bits'] / ours['bits']):.1f} % fewer bits without loss")
        found += [f"{one['series']}: JPEG-LS has fewer bits at near {near}" for near in nears(one) if near and gain(one, near) < 0]
        for side, name in (("decode", "decoding"), ("encode", "encoding")):
            faster = [row["codec"] for row in one["rows"] if row["group"] == 0 and row["codec"] != "ours" and row[side] > ours[side]]
            if faster:
                found.append(f"{one['series']}: {', '.join(faster)} faster at {name}")
    return "## Where we lose\n\n" + "\n".join(f"- {line}" for line in found or ["nowhere in these tables"]) + "\n"


def table(one):
    shape = " × ".join(map(str, one["shape"]))
    noise = f", s20 {one['s20']:.1f}" if one["s20"] else ""
    exact = f", exact {', '.join(map(str, one['exact']))} (as stored)" if one["exact"] else ""
    lines = [f"## {one['series']}\n", f"{one['frames']} × {shape}{' signed' if one['signed'] else ''}{noise}{exact}; headers "
             f"{one['header_bytes'] / one['frames']:.0f} bytes an image; timed on {one['timed_frames']} images.\n",
             "| codec | near | bits a sample | files | pixels | max error | RMSE | enc | dec |", "|---|---|---|---|---|---|---|---|---|"]
    charls = jpeg_ls_of(one, 0)
    for row in sorted(one["rows"], key=lambda row: (row["group"], row["near"] is None, row["bits"])):
        near = "–" if row["near"] is None else str(row["group"])
        lines.append(
            f"| {row['codec']} | {near} | {row['bits']:.3f} | {one['file_bytes'] / (row['bytes'] + one['header_bytes']):.2f} "
            f"| {one['pixel_bytes'] / row['bytes']:.2f} | {row['max_error']} | {row['rmse']:.2f} "
            f"| {row['encode'] / charls['encode']:.2f} | {row['decode'] / charls['decode']:.2f} |")
    return "\n".join(lines) + "\n"
