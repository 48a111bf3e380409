"""Where the built binaries lie: `target/release`, or the folder that SCANPOST_BIN names."""

import os
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def program(name: str) -> Path:
    """The path of a binary of this project."""
    folder = Path(os.environ.get("SCANPOST_BIN") or TOP / os.environ.get("CARGO_TARGET_DIR", "target") / "release")
    path = folder / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built: cargo build --release --locked")
    return path
