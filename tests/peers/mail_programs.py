"""Two mail programs of other people that open an S/MIME mail: openssl, and Bouncy Castle with JavaMail."""

import subprocess
from email import message_from_bytes, policy
from pathlib import Path

from lab.openssl import openssl

SOURCES = Path(__file__).parent / "bouncycastle"
JARS = [Path("/usr/share/java") / name for name in
        ("bcprov.jar", "bcutil.jar", "bcpkix.jar", "bcmail.jar", "javax.mail.jar", "javax.activation.jar")]


def open_by_openssl(mail: Path, key: Path, certificate: Path, authority: Path) -> dict[str, bytes]:
    """Name and content of each part, once decrypted and verified against the site's authority."""
    signed, entity = mail.with_suffix(".signed"), mail.with_suffix(".entity")
    openssl("cms", "-decrypt", "-in", mail, "-inkey", key, "-recip", certificate, "-out", signed)
    openssl("cms", "-verify", "-in", signed, "-CAfile", authority, "-purpose", "any", "-out", entity)
    message = message_from_bytes(entity.read_bytes(), policy=policy.default)
    return {part.get_filename() or "text.txt": part.get_payload(decode=True) for part in message.iter_parts()}


def open_by_bouncy_castle(mail: Path, key: Path, certificate: Path, site: Path) -> dict[str, bytes]:
    missing = [str(jar) for jar in JARS if not jar.exists()]
    assert not missing, f"needs the Debian packages libbcmail-java and default-jdk-headless: {missing}"
    classes, out = mail.with_suffix(".classes"), mail.with_suffix(".parts")
    out.mkdir()
    path = ":".join(map(str, JARS))
    _java("javac", "-nowarn", "-cp", path, "-d", classes, SOURCES / "OpenCover.java", SOURCES / "OpenMessage.java")
    _java("java", "-cp", f"{path}:{classes}", "OpenMessage", mail, key, certificate, site, out)
    return {file.name: file.read_bytes() for file in out.iterdir()}


def _java(*command: object) -> None:
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{command[0]}: {result.stderr}")
