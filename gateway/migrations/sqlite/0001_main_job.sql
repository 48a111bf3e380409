-- Where every instance, delivery, submission, notice and receipt stands. Times are milliseconds since 1970-01-01 UTC.

-- One study for one destination, from the first instance to the end of the case.
CREATE TABLE study_case (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    destination   TEXT    NOT NULL,
    study_uid     TEXT    NOT NULL, -- 'association N' where the instances name no study
    opened_at_ms  INTEGER NOT NULL,
    closed_at_ms  INTEGER
) STRICT;

CREATE UNIQUE INDEX study_case_open ON study_case (destination, study_uid) WHERE closed_at_ms IS NULL;

-- One sealed journey of a case. The state is the last stage that is done.
CREATE TABLE delivery (
    id               BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    case_id          BLOB    NOT NULL REFERENCES study_case (id),
    sequence         INTEGER NOT NULL CHECK (sequence >= 1),
    state            TEXT    NOT NULL CHECK (state IN
                       ('received', 'assembled', 'compressed', 'sealed', 'submitted', 'notified', 'pulled', 'failed')),
    calling          TEXT    NOT NULL, -- AE title that sent the first instance: the PACS to ask
    completeness     TEXT,             -- JSON of seal::cover::Completeness, once assembled
    summary          TEXT,             -- JSON of compressor::bundle::Summary, once compressed
    pieces           INTEGER,
    mail_bytes       INTEGER,
    cover_digest     BLOB    CHECK (cover_digest IS NULL OR length(cover_digest) = 32),
    attempts         INTEGER NOT NULL DEFAULT 0,
    failing_since_ms INTEGER,
    trouble          TEXT,             -- what is wrong and who must act; no patient data
    UNIQUE (case_id, sequence)
) STRICT;

CREATE INDEX delivery_unfinished ON delivery (state) WHERE state NOT IN ('pulled', 'failed');

CREATE TABLE instance (
    id               INTEGER NOT NULL PRIMARY KEY,
    case_id          BLOB    NOT NULL REFERENCES study_case (id),
    delivery_id      BLOB    NOT NULL REFERENCES delivery (id),
    file             TEXT    NOT NULL, -- name in the spool folder `receive`
    series_uid       TEXT    NOT NULL,
    sop_class_uid    TEXT    NOT NULL,
    sop_instance_uid TEXT    NOT NULL,
    transfer_syntax  TEXT    NOT NULL,
    bytes            INTEGER NOT NULL,
    sha256           BLOB    NOT NULL CHECK (length(sha256) = 32),
    conflict         INTEGER NOT NULL DEFAULT 0 CHECK (conflict IN (0, 1)),
    received_at_ms   INTEGER NOT NULL,
    UNIQUE (case_id, sop_instance_uid, sha256, transfer_syntax)
) STRICT;

CREATE INDEX instance_of_delivery ON instance (delivery_id);

-- When each stage of a delivery began and was done.
CREATE TABLE stage_time (
    delivery_id   BLOB    NOT NULL REFERENCES delivery (id),
    stage         TEXT    NOT NULL,
    began_at_ms   INTEGER NOT NULL,
    done_at_ms    INTEGER,
    PRIMARY KEY (delivery_id, stage)
) STRICT, WITHOUT ROWID;

-- A part (0 = the cover, else the piece) that the mail server accepted for a doctor.
CREATE TABLE accepted_part (
    delivery_id    BLOB    NOT NULL REFERENCES delivery (id),
    part           INTEGER NOT NULL,
    doctor         TEXT    NOT NULL,
    accepted_at_ms INTEGER NOT NULL,
    PRIMARY KEY (delivery_id, part, doctor)
) STRICT, WITHOUT ROWID;

-- A doctor of the destination, as far as this delivery is concerned.
CREATE TABLE recipient (
    delivery_id      BLOB    NOT NULL REFERENCES delivery (id),
    doctor           TEXT    NOT NULL,
    notice_id        BLOB    NOT NULL CHECK (length(notice_id) = 16),
    cover_seen_at_ms INTEGER,
    notified_at_ms   INTEGER,
    pulled_at_ms     INTEGER,
    refused          TEXT,             -- why the mail server will never take it
    PRIMARY KEY (delivery_id, doctor)
) STRICT, WITHOUT ROWID;
