-- The directory of doctors: by which certificates each can be reached. Times are milliseconds since 1970-01-01 UTC.

-- A certificate that covers are sealed for, on one of the doctor's devices, and the identity that signs its receipts.
CREATE TABLE doctor_certificate (
    digest      BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32), -- SHA-256 of the certificate
    doctor      TEXT    NOT NULL, -- name in the configuration
    device      TEXT    NOT NULL,
    certificate BLOB    NOT NULL, -- DER
    identity    BLOB    NOT NULL, -- DER
    origin      TEXT    NOT NULL CHECK (origin IN ('configuration', 'administrator', 'enrolment')),
    state       TEXT    NOT NULL CHECK (state IN ('active', 'superseded', 'revoked')),
    added_at_ms INTEGER NOT NULL,
    added_by    TEXT    NOT NULL,
    ended_at_ms INTEGER,          -- when it stopped to be active
    ended_by    TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX doctor_certificate_of ON doctor_certificate (doctor);

-- A one-time code. Kept is what is derived from it, until it was used or is over; the code itself never.
CREATE TABLE invitation (
    id               BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    doctor           TEXT    NOT NULL,
    request_key      BLOB    CHECK (request_key IS NULL OR length(request_key) = 32),
    confirmation_key BLOB    CHECK (confirmation_key IS NULL OR length(confirmation_key) = 32),
    state            TEXT    NOT NULL CHECK (state IN ('open', 'requested', 'confirmed', 'dead')),
    expires_at_ms    INTEGER NOT NULL,
    invited_at_ms    INTEGER NOT NULL,
    invited_by       TEXT    NOT NULL,
    message          BLOB    CHECK (message IS NULL OR length(message) = 32), -- SHA-256 of the request
    certificate      BLOB,             -- DER, as requested
    identity         BLOB,             -- DER, as requested
    device           TEXT
) STRICT, WITHOUT ROWID;

-- Messages that named an invitation and did not have its code.
CREATE TABLE enrolment_try (
    invitation_id BLOB NOT NULL REFERENCES invitation (id),
    message       BLOB NOT NULL CHECK (length(message) = 32), -- SHA-256
    PRIMARY KEY (invitation_id, message)
) STRICT, WITHOUT ROWID;

-- What was done to the directory and is not in the audit trail yet: the trail has one writer, and an administrator works beside it.
CREATE TABLE directory_act (
    number      INTEGER NOT NULL PRIMARY KEY,
    at_ms       INTEGER NOT NULL,
    act         TEXT    NOT NULL,
    doctor      TEXT    NOT NULL,
    device      TEXT    NOT NULL,
    acted_by    TEXT    NOT NULL
) STRICT;
