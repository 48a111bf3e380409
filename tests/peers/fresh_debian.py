"""A fresh Debian 12 in a folder, booted by systemd-nspawn with this machine's network: its systemd runs units as a hospital's server does."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from lab.process import Child, Ending, children

SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
MAKE_SECONDS_MAX, BOOT_SECONDS_MAX, COMMAND_SECONDS_MAX = 900, 90, 120
# Beside a minimal Debian: what every server has that a container image leaves out.
PACKAGES = ("systemd", "systemd-sysv", "ca-certificates", "tzdata")


class CannotBoot(Exception):
    """This machine makes or boots no container; the text says why."""


def archive(folder: Path) -> Path:
    """A minimal Debian 12 from the package sources of this machine; SCANPOST_DEBIAN_ROOT may name one that was made before."""
    if given := os.environ.get("SCANPOST_DEBIAN_ROOT"):
        return Path(given)
    sources = SOURCES if SOURCES.exists() else Path("/etc/apt/sources.list")
    made = folder / "debian.tar"
    if not shutil.which("mmdebstrap"):
        raise CannotBoot("mmdebstrap is not installed")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm", made, sources]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=MAKE_SECONDS_MAX)
    if result.returncode != 0:
        raise CannotBoot(f"mmdebstrap: {result.stderr[-2000:]}")
    return made


class FreshDebian:
    """`root` is its file system. `unpack`, then `boot`; `run` runs a command in it as root."""

    def __init__(self, root: Path, log: Path):
        self.root, self.log = root, log
        self.child: Child | None = None
        self.leader = 0

    def unpack(self, archive: Path) -> "FreshDebian":
        """Of what `archive` made."""
        self.root.mkdir(parents=True)
        subprocess.run(["tar", "-C", self.root, "--exclude=./dev/*", "-xf", archive], check=True, timeout=MAKE_SECONDS_MAX)
        # As Debian's installer leaves a machine.
        (self.root / "etc" / "machine-id").write_text("")
        (self.root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
        return self

    def boot(self) -> "FreshDebian":
        """Returns when systemd has started what it starts."""
        if not shutil.which("systemd-nspawn"):
            raise CannotBoot("systemd-nspawn is not installed")
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--resolv-conf=off", "--timezone=off",
                   f"--machine=fresh-{os.getpid()}", f"--directory={self.root}", "--console=pipe", "--boot",
                   # Its own filter of 252 knows no Landlock, which a server that is no container has.
                   "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self"]
        self.child = Child(command, self.log)
        deadline = time.monotonic() + BOOT_SECONDS_MAX
        while True:
            if not self.child.is_running():
                raise CannotBoot(self.child.log_tail())
            if self._is_up():
                return self
            if time.monotonic() > deadline:
                raise CannotBoot(f"not up after {BOOT_SECONDS_MAX} s\n{self.child.log_tail()}")
            time.sleep(0.2)

    def run(self, *command: object, expect: int | None = 0, data: str | None = None) -> subprocess.CompletedProcess:
        """Runs a command as root inside; None takes any exit code."""
        inside = ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--pid", "--root", "--wdns=/",
                  "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "USER=root", "DEBIAN_FRONTEND=noninteractive"]
        result = subprocess.run([*inside, *map(str, command)], input=data, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX)
        if expect is not None and result.returncode != expect:
            raise AssertionError(f"{' '.join(map(str, command))}: exit {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def files(self) -> set[str]:
        """Every path that stays over a restart, but for what apt, dpkg, systemd and the journal keep for themselves."""
        own = ("/dev", "/proc", "/sys", "/run", "/tmp", "/root", "/var/tmp", "/var/log", "/var/cache/apt", "/var/cache/ldconfig", "/var/cache/debconf",
               "/var/lib/apt", "/var/lib/dpkg", "/var/lib/systemd", "/var/backups", "/etc/machine-id")
        pruned = [word for path in own for word in ("-path", path, "-prune", "-o")]
        return set(self.run("find", "/", "-xdev", *pruned, "-print").stdout.splitlines())

    def stop(self) -> None:
        """As a power cut: nothing in it is needed any more."""
        if self.child and self.child.is_running():
            # Whoever ends the first process of a container ends all of it. It may not have got so far.
            if self.leader:
                Ending([self.leader]).wait(0)
            self.child.stop()
        shutil.rmtree(self.root)

    def _is_up(self) -> bool:
        found = children(self.child.pid)
        if not found:
            return False
        self.leader = found[0]
        # Its root is the new one only after it has moved there.
        try:
            if Path(f"/proc/{self.leader}/comm").read_text().strip() != "systemd":
                return False
        except OSError:
            return False
        state = self.run("systemctl", "is-system-running", expect=None).stdout.strip()
        return state in ("running", "degraded")
