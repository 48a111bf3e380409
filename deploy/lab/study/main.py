"""Command line of `deploy/generate-study`."""

import argparse
import sys
from pathlib import Path

from lab.study import ct, mr, multiframe

KINDS = {"mr": mr.generate, "ct": ct.generate, "multiframe": multiframe.generate}
COUNTS = {"mr": 150, "ct": 40, "multiframe": 64}


def main() -> int:
    parser = argparse.ArgumentParser(prog="generate-study", description="Writes a generated study; the same seed gives the same bytes.")
    parser.add_argument("out", type=Path, help="folder; made where missing")
    parser.add_argument("--kind", choices=KINDS, default="mr")
    parser.add_argument("--images", "--frames", type=int, dest="count", help=f"default: {COUNTS}")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    count = arguments.count or COUNTS[arguments.kind]
    files = KINDS[arguments.kind](arguments.out, count, arguments.seed)
    print(f"{files} files in {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
