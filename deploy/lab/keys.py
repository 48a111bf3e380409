"""Keys of one site and its doctors, in the layout of a `keys` folder: ca.pem, site.cert.pem, doctor.key.pem, doctor.cert.pem."""

from pathlib import Path

from lab import openssl

SITE = "hospital.example"
DOCTORS = ("doctor", "doctor2")


class Keys:
    """A folder of keys; made once, then used."""

    def __init__(self, folder: Path):
        self.folder = folder

    def make(self) -> "Keys":
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = (self.folder / "ca.key.pem", self.ca)
        openssl.new_authority(*authority, "Scanpost CA")
        openssl.issue(authority, self.key("site"), self.certificate("site"), SITE, openssl.SIGNER)
        for doctor in DOCTORS:
            openssl.issue(authority, self.key(doctor), self.certificate(doctor), doctor, openssl.RECIPIENT)
        return self

    def make_server(self, name: str) -> None:
        """A certificate of the site's authority for a server on this machine; made once."""
        if not self.certificate(name).exists():
            authority = (self.folder / "ca.key.pem", self.ca)
            openssl.issue(authority, self.key(name), self.certificate(name), "localhost", openssl.SERVER + openssl.LOCALHOST)

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key.pem"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.cert.pem"
