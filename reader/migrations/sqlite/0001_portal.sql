-- What a portal remembers. Secrets of doctors lie here only as their browsers wrapped them.

CREATE TABLE account (
    name          TEXT PRIMARY KEY,
    mailbox       TEXT NOT NULL,
    handle        BLOB NOT NULL UNIQUE,   -- WebAuthn 5.4.3: random, says nothing
    password      TEXT NOT NULL,          -- PHC string, Argon2id
    totp          BLOB NOT NULL,
    totp_step     INTEGER NOT NULL DEFAULT 0,
    failures      INTEGER NOT NULL DEFAULT 0,
    failed_at_ms  INTEGER NOT NULL DEFAULT 0,
    recovery      BLOB,                   -- second copy of the keys, sealed under the recovery key
    recovery_identity BLOB
) STRICT;

CREATE TABLE device (
    credential    BLOB PRIMARY KEY,
    account       TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    public_key    BLOB NOT NULL,          -- P-256, uncompressed point
    sign_count    INTEGER NOT NULL,
    added_at_ms   INTEGER NOT NULL,
    used_at_ms    INTEGER NOT NULL,
    identity      BLOB,                   -- SHA-256 of the identity's certificate
    keys          BLOB                    -- wrapped by the browser
) STRICT;
CREATE INDEX device_account ON device (account);
CREATE INDEX device_identity ON device (identity);

CREATE TABLE session (
    digest        BLOB PRIMARY KEY,       -- SHA-256 of the cookie
    account       TEXT REFERENCES account (name) ON DELETE CASCADE,
    credential    BLOB REFERENCES device (credential) ON DELETE CASCADE,
    link          BLOB,
    began_at_ms   INTEGER NOT NULL,
    seen_at_ms    INTEGER NOT NULL
) STRICT;

CREATE TABLE challenge (
    challenge     BLOB PRIMARY KEY,
    account       TEXT REFERENCES account (name) ON DELETE CASCADE, -- null: signing in
    made_at_ms    INTEGER NOT NULL
) STRICT;

CREATE TABLE push (
    credential    BLOB PRIMARY KEY REFERENCES device (credential) ON DELETE CASCADE,
    endpoint      TEXT NOT NULL,
    p256dh        BLOB NOT NULL,
    auth          BLOB NOT NULL
) STRICT;

CREATE TABLE revoked (
    identity      BLOB PRIMARY KEY,
    at_ms         INTEGER NOT NULL
) STRICT;

-- A cover that was seen: told of once, whichever portal sees it first. Gone: its mail was there and is no longer.
CREATE TABLE delivery (
    mailbox       TEXT NOT NULL,
    delivery      BLOB NOT NULL,
    seen_at_ms    INTEGER NOT NULL,
    gone_at_ms    INTEGER,
    PRIMARY KEY (mailbox, delivery)
) STRICT;

CREATE TABLE link (
    link          BLOB PRIMARY KEY,
    tries         INTEGER NOT NULL DEFAULT 0,
    uses          INTEGER NOT NULL DEFAULT 0,
    expires_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE secret (
    name          TEXT PRIMARY KEY,
    value         BLOB NOT NULL
) STRICT;
