"""A look into a mailbox of the private store over IMAPS, as its owner."""

import imaplib
import ssl
from dataclasses import dataclass

from lab.mail_store import MailStore, address


@dataclass(frozen=True)
class Message:
    """One mail: its IMAP UID and its bytes."""

    uid: str
    content: bytes


class Mailbox:
    """A logged-in session; use with `with`."""

    def __init__(self, store: MailStore, user: str):
        context = ssl.create_default_context(cafile=str(store.ca))
        self.imap = imaplib.IMAP4_SSL("localhost", store.imaps_port, ssl_context=context, timeout=60)
        self.imap.login(address(user), store.password(user))
        self.imap.select("INBOX")

    def __enter__(self) -> "Mailbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.imap.logout()

    def messages(self) -> list[Message]:
        """All mails of the INBOX, oldest first."""
        uids = self.imap.uid("SEARCH", "ALL")[1][0].decode().split()
        fetched = ((uid, self.imap.uid("FETCH", uid, "(BODY.PEEK[])")[1][0]) for uid in uids)
        # One that was deleted since it was listed comes back as no literal.
        return [Message(uid, literal[1]) for uid, literal in fetched if isinstance(literal, tuple)]

    def append(self, content: bytes) -> None:
        self._check(self.imap.append("INBOX", None, None, content))

    def delete(self, *uids: str) -> None:
        for uid in uids:
            self._check(self.imap.uid("STORE", uid, "+FLAGS", "(\\Deleted)"))
        self._check(self.imap.expunge())

    def empty(self) -> None:
        self.delete(*self.imap.uid("SEARCH", "ALL")[1][0].decode().split())

    @staticmethod
    def _check(answer: tuple) -> None:
        if answer[0] != "OK":
            raise RuntimeError(f"IMAP answered {answer[0]}")
