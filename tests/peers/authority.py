"""An authority by `openssl ca`: certificates with any dates, names, purposes, keys and signatures, and revocation lists."""

import datetime
import itertools
import subprocess
from pathlib import Path

from lab import openssl
from lab.openssl import openssl as run

CONFIG = """[ca]
default_ca = this
[this]
dir = {folder}
database = {folder}/index.txt
new_certs_dir = {folder}/issued
rand_serial = yes
policy = any
crlnumber = {folder}/crlnumber
crl_extensions = list
default_md = sha256
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[list]
authorityKeyIdentifier = keyid:always
"""
P256 = ("EC", "ec_paramgen_curve:P-256")
RSA_1024 = ("RSA", "rsa_keygen_bits:1024")


class Authority:
    """A root with its own folder. `name` need not be unique: two authorities of one name are two."""

    numbers = itertools.count(1)

    def __init__(self, folder: Path, name: str = "test root"):
        self.folder = folder
        (folder / "issued").mkdir(parents=True)
        (folder / "index.txt").touch()
        (folder / "crlnumber").write_text("01\n")
        self.config = folder / "openssl.cnf"
        self.config.write_text(CONFIG.format(folder=folder))
        self.key, self.certificate = folder / "ca.key.pem", folder / "ca.pem"
        openssl.new_authority(self.key, self.certificate, name)

    def issue(self, host: str = "localhost", *, purpose: str = "serverAuth", begins: float = -1, ends: float = 365,
              key: tuple[str, str] = P256, digest: str = "sha256") -> "Issued":
        """A certificate for `host`; `begins` and `ends` are days from now."""
        issued = Issued(self.folder / f"leaf{next(self.numbers)}")
        openssl.write_secret(issued.key, run("genpkey", "-algorithm", key[0], "-pkeyopt", key[1]))
        request, extensions = issued.path.with_suffix(".csr"), issued.path.with_suffix(".ext")
        request.write_bytes(run("req", "-new", "-key", issued.key, "-subj", f"/CN={host}"))
        extensions.write_text(f"basicConstraints=critical,CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
                              f"keyUsage=critical,digitalSignature\nextendedKeyUsage={purpose}\nsubjectAltName=DNS:{host}\n")
        self._ca("-batch", "-notext", "-in", request, "-out", issued.certificate, "-extfile", extensions, "-md", digest,
                 "-startdate", _date(begins), "-enddate", _date(ends))
        return issued

    def self_signed(self, host: str = "localhost", *, is_authority: bool = False) -> "Issued":
        """Signed by nobody but itself."""
        issued = Issued(self.folder / f"leaf{next(self.numbers)}")
        openssl.new_key(issued.key)
        run("req", "-x509", "-new", "-key", issued.key, "-days", 30, "-subj", f"/CN={host}", "-out", issued.certificate,
            "-addext", f"subjectAltName=DNS:{host}", "-addext", "extendedKeyUsage=serverAuth",
            "-addext", f"basicConstraints=critical,CA:{str(is_authority).upper()}")
        return issued

    def revoke(self, issued: "Issued") -> None:
        self._ca("-revoke", issued.certificate)

    def revocations(self, name: str = "crl.pem", begins: float = -1, ends: float = 30) -> Path:
        """A list of what was revoked so far; `begins` and `ends` are days from now."""
        path = self.folder / name
        self._ca("-gencrl", "-out", path, "-crl_lastupdate", _date(begins, "%Y%m%d%H%M%SZ"),
                 "-crl_nextupdate", _date(ends, "%Y%m%d%H%M%SZ"))
        return path

    def _ca(self, *arguments: object) -> None:
        command = ["openssl", "ca", "-config", self.config, "-cert", self.certificate, "-keyfile", self.key, *arguments]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(f"openssl ca: {result.stderr.strip()}")


class Issued:
    """A certificate and its key."""

    def __init__(self, path: Path):
        self.path = path
        self.key, self.certificate = path.with_suffix(".key.pem"), path.with_suffix(".cert.pem")


def _date(days: float, form: str = "%y%m%d%H%M%SZ") -> str:
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime(form)
