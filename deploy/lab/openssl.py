"""Certificates by the `openssl` program: an authority, and P-256 keys it vouches for. Keys are PKCS#8 PEM, mode 0600."""

import os
import subprocess
import tempfile
from pathlib import Path

SERVER = "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
SIGNER = "keyUsage=critical,digitalSignature\n"
# A doctor's key opens covers (ECDH) and signs receipts.
RECIPIENT = "keyUsage=critical,digitalSignature,keyAgreement\n"
LOCALHOST = "subjectAltName=DNS:localhost,IP:127.0.0.1\n"


def openssl(*arguments: object, data: bytes | None = None) -> bytes:
    """Runs openssl and gives its output back; what it says on failure goes into the error."""
    command = ["openssl", *map(str, arguments)]
    result = subprocess.run(command, input=data, capture_output=True)
    if result.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout


def new_key(path: Path) -> None:
    """A fresh P-256 key that only its owner may read."""
    pem = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:named_curve")
    write_secret(path, pem)


def new_authority(key: Path, certificate: Path, name: str) -> None:
    """A self-signed authority."""
    new_key(key)
    openssl(
        "req", "-x509", "-new", "-key", key, "-sha256", "-days", 3650, "-subj", f"/CN={name}", "-out", certificate,
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )


def issue(authority: tuple[Path, Path], key: Path, certificate: Path, name: str, extensions: str) -> None:
    """A key and its certificate, signed by `authority` (key, certificate)."""
    new_key(key)
    request = openssl("req", "-new", "-key", key, "-subj", f"/CN={name}")
    with tempfile.NamedTemporaryFile("w", suffix=".ext") as file:
        file.write("basicConstraints=critical,CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n" + extensions)
        file.flush()
        pem = openssl(
            "x509", "-req", "-sha256", "-days", 825, "-CA", authority[1], "-CAkey", authority[0],
            "-set_serial", f"0x{os.urandom(8).hex()}", "-extfile", file.name, data=request,
        )
    certificate.write_bytes(pem)


def write_secret(path: Path, content: bytes) -> None:
    """Writes a file that was never readable by others, not even for a moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
