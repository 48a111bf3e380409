"""Images per second of our durable C-STORE SCP beside DCMTK storescp, alternated in one run, as a ratio of medians.

Both write to the same disk. storescp is set as well as it can be (TCP_NODELAY=1, +B, -pdu 131072) and does not fsync; ours
makes file, folder and journal row durable before each success. The gateway's silence is set so long that no delivery begins, and nothing is
compressed ahead (`benches/delivery` shows what receiving costs beside that).

usage: benches/ingest [--images 300] [--runs 5] [--senders 1] [--json FILE]
"""
import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "deploy")]

from lab.programs import program  # noqa: E402

FAST = {**os.environ, "TCP_NODELAY": "1"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def generate(folder, images):
    subprocess.run([TOP / "deploy/generate-study", "--kind", "ct", "--images", str(images), "--seed", "1", folder], check=True)


def rewrite_uids(source, target, run):
    """Each run sends instances of its own, or ours would answer from the journal: the tail of every SOP Instance UID changes."""
    import pydicom

    target.mkdir()
    for index, path in enumerate(sorted(p for p in source.rglob("*") if p.is_file())):
        dataset = pydicom.dcmread(path)
        uid = f"2.25.{(run + 1) * 1_000_000 + index}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.save_as(target / f"{index:06d}.dcm")


def storescp(folder):
    port = free_port()
    folder.mkdir()
    server = subprocess.Popen(
        ["storescp", "--fork", "+B", "-pdu", "131072", "-od", folder, str(port)], env=FAST, stdout=subprocess.DEVNULL
    )
    return server, port


def gateway(folder, encryption):
    """The gateway with keys of its own; its mail servers are never reached, since nothing is delivered."""
    folder.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=bench", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, stderr=subprocess.DEVNULL,
    )
    (folder / "key.pem").chmod(0o600)
    (folder / "spool.key").write_bytes(os.urandom(32))
    (folder / "spool.key").chmod(0o600)
    (folder / "password").write_text("none")
    (folder / "password").chmod(0o600)
    server = f'host = "localhost"\nport = {free_port()}\nuser = "bench@bench.example"\npassword_file = "{folder}/password"\n'
    (folder / "gateway.toml").write_text(
        f'site = "bench.example"\nstate = "{folder}/state"\n'
        f'[spool]\nencryption = "{encryption}"\nkey_file = "{folder}/spool.key"\n'
        f'[dicom]\nlisten = "127.0.0.1:0"\nport_file = "{folder}/port"\nsettle_ms = 3600000\nsilence_ms = 3600000\n'
        f'[compress]\nahead = false\n[seal]\nkey = "{folder}/key.pem"\ncertificate = "{folder}/cert.pem"\nplain_keys = true\n'
        f"[submit]\n{server}[notify]\n[pulled]\n{server}poll_ms = 3600000\n"
        f'[doctors.bench]\nmailbox = "b@bench.example"\nfolder = "INBOX"\ncertificate = "{folder}/cert.pem"\nphone = "p@bench.example"\n'
        f'[destinations.BENCH]\ndoctors = ["bench"]\n'
    )
    log = open(folder / "log", "w")
    process = subprocess.Popen(
        [program("scanpost-gateway"), "serve", "--config", folder / "gateway.toml"], stdout=log, stderr=log
    )
    deadline = time.monotonic() + 20
    while not (folder / "port").exists():
        if time.monotonic() > deadline:
            sys.exit((folder / "log").read_text())
        time.sleep(0.05)
    return process, int((folder / "port").read_text())


def send(folder, port, senders, called="BENCH"):
    """Seconds until all senders are through; each sends its share over one association."""
    files = sorted(folder.iterdir())
    shares = [files[index::senders] for index in range(senders)]
    start = time.monotonic()
    running = [
        subprocess.Popen(
            ["storescu", "-aec", called, "-pdu", "131072", "127.0.0.1", str(port), *share], env=FAST, stdout=subprocess.DEVNULL
        )
        for share in shares
    ]
    if any(process.wait() for process in running):
        sys.exit("storescu failed")
    return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--senders", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scanpost-ingest-") as name:
        folder = pathlib.Path(name)
        generate(folder / "study", arguments.images)
        peers = {"ours": gateway(folder / "ours", "on"), "ours plain": gateway(folder / "plain", "off"), "storescp": storescp(folder / "theirs")}
        seconds = {peer: [] for peer in peers}
        try:
            wait_for(peers["storescp"][1])
            for run in range(arguments.runs + 1):
                rewrite_uids(folder / "study", folder / "run", run)
                turn = run % len(peers)
                order = [*list(peers)[turn:], *list(peers)[:turn]]
                for peer in order:
                    took = send(folder / "run", peers[peer][1], arguments.senders)
                    if run:  # the first run warms up
                        seconds[peer].append(took)
                shutil.rmtree(folder / "run")
        finally:
            for process, _ in peers.values():
                process.terminate()
                process.wait()
        report(arguments, seconds)


def report(arguments, seconds):
    rates = {peer: [arguments.images / one for one in runs] for peer, runs in seconds.items()}
    medians = {peer: statistics.median(runs) for peer, runs in rates.items()}
    for peer, runs in rates.items():
        print(f"{peer:>10}: median {medians[peer]:6.0f} images/s   runs {' '.join(f'{rate:.0f}' for rate in runs)}")
    ratio = medians["ours"] / medians["storescp"]
    print(f"encrypted : plain spool = {medians['ours'] / medians['ours plain']:.2f}")
    print(f"ours : storescp = {ratio:.2f}  ({arguments.images} CT images of 512 KiB, {arguments.senders} sender(s), "
          "storescu and storescp with TCP_NODELAY=1 -pdu 131072, storescp +B without fsync)")
    if arguments.json:
        arguments.json.write_text(json.dumps({"images_per_second": rates, "medians": medians, "ratio": ratio}, indent=1))


if __name__ == "__main__":
    main()
