"""A client that works in a mailbox beside everybody else, in the manner of imaptest: it draws, by a seed, whatever a mail program may do. It deletes
only mails of its own; all others it reads, flags, copies and moves."""

import imaplib
import random
import threading
from collections import Counter

from lab.mail_store import MailStore
from lab.mailbox import Mailbox

# Folders of its own come and go, and with them their UIDVALIDITY (RFC 3501 2.3.1.1).
OWN_FOLDER = "Scratch"
PAUSE_SECONDS = 0.02


class Unruly:
    """Use with `with`: it works until the end of the block. `done` counts what it did, by kind."""

    def __init__(self, store: MailStore, user: str, folders: tuple[str, ...], seed: int):
        self.store, self.user, self.folders = store, user, ("INBOX", *folders)
        self.draw = random.Random(seed)
        self.name = f"unruly-{seed}"
        self.done: Counter[str] = Counter()
        self.trouble: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name=self.name)

    def __enter__(self) -> "Unruly":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self.trouble:
            raise self.trouble

    def _work(self) -> None:
        acts = [self._append, self._flag, self._move, self._move, self._copy_own, self._read, self._search, self._delete_own, self._own_folder]
        try:
            while not self._ended.is_set():
                # A session of some acts; it ends as often by a cut line as by LOGOUT.
                mailbox = Mailbox(self.store, self.user)
                for act in self.draw.choices(acts, k=self.draw.randrange(1, 30)):
                    if self._ended.wait(PAUSE_SECONDS):
                        break
                    mailbox.imap.select(f'"{self.draw.choice(self.folders)}"')
                    self.done[act.__name__.removeprefix("_")] += act(mailbox.imap)
                if self.draw.random() < 0.5:
                    mailbox.imap.logout()
                else:
                    mailbox.imap.shutdown()
        except Exception as trouble:
            self.trouble = trouble

    def _uids(self, imap: imaplib.IMAP4, *criteria: str) -> list[str]:
        return imap.uid("SEARCH", *criteria)[1][0].decode().split()

    def _one(self, imap: imaplib.IMAP4, *criteria: str) -> str | None:
        uids = self._uids(imap, *criteria)
        return self.draw.choice(uids) if uids else None

    def _own(self, imap: imaplib.IMAP4) -> str | None:
        return self._one(imap, "SUBJECT", self.name)

    def _append(self, imap: imaplib.IMAP4) -> bool:
        mail = f"From: {self.name}@elsewhere.test\r\nSubject: {self.name}\r\n\r\n{'x' * self.draw.randrange(5_000)}\r\n"
        return imap.append(f'"{self.draw.choice(self.folders)}"', None, None, mail.encode())[0] == "OK"

    def _flag(self, imap: imaplib.IMAP4) -> bool:
        uid = self._one(imap, "ALL")
        flags = self.draw.choice([r"(\Seen)", r"(\Flagged)", r"(\Answered)", "($Junk)"])
        return bool(uid) and imap.uid("STORE", uid, self.draw.choice(["+FLAGS", "-FLAGS"]), flags)[0] == "OK"

    def _move(self, imap: imaplib.IMAP4) -> bool:
        uid = self._one(imap, "ALL")
        return bool(uid) and imap.uid("MOVE", uid, f'"{self.draw.choice(self.folders)}"')[0] == "OK"

    def _copy_own(self, imap: imaplib.IMAP4) -> bool:
        uid = self._own(imap)
        return bool(uid) and imap.uid("COPY", uid, f'"{self.draw.choice(self.folders)}"')[0] == "OK"

    def _read(self, imap: imaplib.IMAP4) -> bool:
        uid = self._one(imap, "ALL")
        return bool(uid) and imap.uid("FETCH", uid, self.draw.choice(["(BODY[])", "(BODY.PEEK[HEADER])", "(BODYSTRUCTURE)"]))[0] == "OK"

    def _search(self, imap: imaplib.IMAP4) -> bool:
        self._uids(imap, "OR", "UNSEEN", "FLAGGED")
        return True

    def _delete_own(self, imap: imaplib.IMAP4) -> bool:
        uid = self._own(imap)
        return bool(uid) and imap.uid("STORE", uid, "+FLAGS", r"(\Deleted)")[0] == "OK" and imap.uid("EXPUNGE", uid)[0] == "OK"

    def _own_folder(self, imap: imaplib.IMAP4) -> bool:
        imap.select("INBOX")
        folder = f"{OWN_FOLDER}-{self.name}"
        return "OK" in (imap.create(folder)[0], imap.delete(folder)[0])
