"""The same sources give the same programs, byte for byte, in two folders: who doubts a binary can build it again."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from lab.programs import TOP

BUILD_SECONDS_MAX = 7_200
PROGRAMS = {"compressor": "scanpost-pack", "reader": "scanpost-reader", "gateway": "scanpost-gateway"}


@pytest.fixture(scope="session")
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What is committed, twice; the paths differ in length, too."""
    if not request.config.getoption("--long"):
        pytest.skip("two builds of everything: takes an hour, run by --long")
    base = tmp_path_factory.mktemp("reproducible")
    archive = base / "sources.tar"
    subprocess.run(["git", "archive", "-o", str(archive), "HEAD"], check=True, cwd=TOP)
    found = []
    for name in ("one", "another folder"):
        folder = base / name
        folder.mkdir()
        shutil.unpack_archive(archive, folder, filter="data")
        found.append(folder)
    return found


@pytest.mark.parametrize("package", PROGRAMS)
def test_two_builds_in_two_folders_are_the_same_bytes(folders: list[Path], package: str):
    built = []
    for folder in folders:
        subprocess.run(["nice", "-n", "10", str(folder / "deploy" / "build"), package], check=True, timeout=BUILD_SECONDS_MAX)
        built.append(folder / "target" / "reproducible" / "release" / PROGRAMS[package])
    for path, folder in zip(built, folders, strict=True):
        assert str(folder).encode() not in path.read_bytes(), "a path of this machine is in it"
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in built]
    print(f"{built[0].name}: {digests[0]}")
    assert digests[0] == digests[1], built
