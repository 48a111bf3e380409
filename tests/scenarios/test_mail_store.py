"""The private mail store keeps the rules that deploy/mailstore promises."""

import imaplib
import smtplib
import socket
import ssl
import time

import pytest

from lab import mail_store
from lab.mail_store import MailStore, Options, address
from lab.mailbox import Mailbox, Message

TEXT = b"Subject: Scanpost\r\nMessage-ID: <a@b>\r\n\r\ntext\r\n"


def submission(store: MailStore, user: str = "gateway") -> smtplib.SMTP_SSL:
    context = ssl.create_default_context(cafile=str(store.ca))
    client = smtplib.SMTP_SSL("localhost", store.smtps_port, context=context, timeout=30)
    client.login(address(user), store.password(user))
    return client


def wait_for_mail(store: MailStore, user: str, words: bytes) -> list[Message]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with Mailbox(store, user) as mailbox:
            found = mailbox.messages()
        if any(words in message.content for message in found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"no mail with {words!r}")


def test_it_listens_on_loopback_alone(store: MailStore):
    listening = {line.split()[1] for line in open("/proc/net/tcp").readlines()[1:] if line.split()[3] == "0A"}
    for port in (store.smtps_port, store.imaps_port):
        assert {entry for entry in listening if entry.endswith(f":{port:04X}")} == {f"0100007F:{port:04X}"}


@pytest.mark.parametrize("server", ["smtps_port", "imaps_port"])
def test_it_speaks_only_tls(store: MailStore, server: str):
    with socket.create_connection(("127.0.0.1", getattr(store, server)), timeout=5) as plain:
        plain.sendall(b"EHLO here\r\na1 CAPABILITY\r\n")
        try:
            answer = plain.recv(1000)
        except (ConnectionError, TimeoutError):
            answer = b""
    assert b"220" not in answer and b"CAPABILITY" not in answer


@pytest.mark.parametrize("server", ["smtps_port", "imaps_port"])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_before_1_2_is_refused(store: MailStore, server: str):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(store.ca)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", getattr(store, server)), timeout=5) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain, server_hostname="localhost")


def test_only_the_own_sender_address_is_taken(store: MailStore):
    with submission(store) as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        client.sendmail(address("doctor"), [address("doctor")], TEXT)
    assert refused.value.recipients[address("doctor")][0] == 553


def test_an_unknown_recipient_is_refused_at_once(store: MailStore):
    with submission(store) as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        client.sendmail(address("gateway"), ["nobody@scanpost.test"], TEXT)
    assert refused.value.recipients["nobody@scanpost.test"][0] == 550


def test_nobody_relays_to_the_outside(store: MailStore):
    with submission(store) as client, pytest.raises(smtplib.SMTPRecipientsRefused):
        client.sendmail(address("gateway"), ["someone@elsewhere.test"], TEXT)


@pytest.mark.parametrize("ending", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\n.\r"])
def test_smuggled_endings_make_no_second_mail(store: MailStore, ending: bytes):
    """SMTP smuggling: an ending other than CRLF . CRLF must not end the message."""
    smuggled = TEXT + b"first" + ending + f"MAIL FROM:<{address('doctor')}>\r\nRCPT TO:<{address('doctor')}>\r\nDATA\r\nsecond\r\n".encode()
    with submission(store) as client:
        client.mail(address("gateway"))
        client.rcpt(address("doctor"))
        client.docmd("DATA")
        client.send(smuggled + b".\r\n")
        try:
            client.getreply()
        except smtplib.SMTPServerDisconnected:
            pass
    with submission(store) as client:
        client.sendmail(address("gateway"), [address("doctor")], b"Subject: sentinel\r\n\r\nlast\r\n")
    arrived = wait_for_mail(store, "doctor", b"Subject: sentinel")
    assert not [message for message in arrived if f"Return-Path: <{address('doctor')}>".encode() in message.content]
    assert len(arrived) <= 2


def test_the_gateway_has_its_four_rights_in_the_doctors_folder_and_no_more(store: MailStore):
    with Mailbox(store, "doctor") as mailbox:
        mailbox.append(TEXT)
    folder = f'"{mail_store.folder_seen_by_gateway("doctor")}"'
    with Mailbox(store, "gateway") as gateway:
        assert gateway.imap.select(folder)[0] == "OK"
        assert gateway.imap.fetch("1", "(BODY.PEEK[])")[1][0][1] == TEXT
        assert gateway.imap.append(folder, None, None, TEXT)[0] == "NO"
        gateway.imap.store("1", "+FLAGS", "\\Deleted")
        assert gateway.imap.expunge() == ("OK", [b"1"])
        assert gateway.imap.select('"shared/phone@scanpost.test/INBOX"')[0] == "NO"


def test_it_starts_again_with_faults_and_without(store: MailStore):
    """Quota, size, login and certificate can each be made to fail, and the next plain start mends them."""
    ports = (store.smtps_port, store.imaps_port)
    try:
        store.stop()
        store.start(Options(quota={"doctor": "1M"}, message_size_limit=4_000_000, refuse_login=["doctor2"], certificate="wrong-ca"))
        assert (store.smtps_port, store.imaps_port) == ports
        with pytest.raises(ssl.SSLCertVerificationError):
            submission(store)
        store.stop()
        store.start(Options(quota={"doctor": "1M"}, message_size_limit=4_000_000, refuse_login=["doctor2"]))
        with pytest.raises(imaplib.IMAP4.error):
            Mailbox(store, "doctor2")
        big = TEXT + (b"a" * 76 + b"\r\n") * 20_000
        with submission(store) as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail(address("gateway"), [address("doctor")], big, mail_options=[f"SIZE={len(big)}"])
        assert refused.value.recipients[address("doctor")][0] == 552
        with submission(store) as client, pytest.raises(smtplib.SMTPSenderRefused) as too_big:
            client.sendmail(address("gateway"), [address("phone")], b"", mail_options=["SIZE=5000000"])
        assert too_big.value.smtp_code == 552
    finally:
        store.stop()
        store.start()
    with submission(store) as client:
        assert client.sendmail(address("gateway"), [address("doctor")], TEXT) == {}
