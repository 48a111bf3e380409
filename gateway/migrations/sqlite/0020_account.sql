-- Who may use the page. Times are milliseconds since 1970-01-01 UTC.

CREATE TABLE account (
    name            TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),
    role            TEXT    NOT NULL CHECK (role IN ('technician', 'administrator', 'auditor')),
    password        TEXT    NOT NULL, -- Argon2id, PHC string
    totp            BLOB,             -- secret of RFC 6238, where the account has a second factor
    totp_step       INTEGER NOT NULL DEFAULT 0, -- a code of this step or an earlier one counts no more
    failures        INTEGER NOT NULL DEFAULT 0, -- in a row
    failed_at_ms    INTEGER NOT NULL DEFAULT 0, -- the last one
    locked          INTEGER NOT NULL DEFAULT 0 CHECK (locked IN (0, 1)), -- by an administrator
    made_at_ms      INTEGER NOT NULL,
    made_by         TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Kept is the SHA-256 of the cookie: who reads the journal can sign in as nobody.
CREATE TABLE page_session (
    digest      BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    account     TEXT    NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    began_at_ms INTEGER NOT NULL,
    seen_at_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX page_session_of ON page_session (account);

-- What was done to accounts and roster and is not in the audit trail yet.
CREATE TABLE account_act (
    number   INTEGER NOT NULL PRIMARY KEY,
    at_ms    INTEGER NOT NULL,
    act      TEXT    NOT NULL,
    account  TEXT    NOT NULL,
    acted_by TEXT    NOT NULL
) STRICT;
