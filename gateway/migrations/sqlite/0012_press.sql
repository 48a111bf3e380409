-- Studies that wait for a technician's press, and deliveries that were withdrawn. Times are milliseconds since 1970-01-01 UTC.

-- SQLite changes no CHECK: the table is made again. Rows elsewhere that point to it are judged at the end.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE delivery_before AS SELECT * FROM delivery;
DROP TABLE delivery;

-- One sealed journey of a case. The state is the last stage that is done; 'held' has none behind it yet.
CREATE TABLE delivery (
    id                  BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    case_id             BLOB    NOT NULL REFERENCES study_case (id),
    sequence            INTEGER NOT NULL CHECK (sequence >= 1),
    state               TEXT    NOT NULL CHECK (state IN ('held', 'received', 'assembled', 'compressed', 'sealed', 'submitted', 'notified',
                          'pulled', 'failed', 'cancelled', 'recalled')),
    calling             TEXT    NOT NULL, -- AE title that sent the first instance: the PACS to ask
    completeness        TEXT,             -- JSON of seal::cover::Completeness, once assembled
    summary             TEXT,             -- JSON of compressor::bundle::Summary, once compressed
    pieces              INTEGER,
    mail_bytes          INTEGER,
    cover_digest        BLOB    CHECK (cover_digest IS NULL OR length(cover_digest) = 32),
    attempts            INTEGER NOT NULL DEFAULT 0,
    failing_since_ms    INTEGER,
    trouble             TEXT,             -- what is wrong and who must act; no patient data
    residual_of         BLOB    REFERENCES delivery (id), -- this delivery carries the residual of that one
    residual_until_ms   INTEGER,          -- its own residual is kept back until then, at least
    residual_gone_at_ms INTEGER,          -- and was deleted then
    remark              TEXT,             -- words for the operator about a delivery that goes on as it does
    urgent              INTEGER NOT NULL DEFAULT 0 CHECK (urgent IN (0, 1)),
    pressed_at_ms       INTEGER,          -- a person asked for it, here or at another system
    pressed_by          TEXT,
    pacs                TEXT,             -- name in the configuration of the PACS to fetch from; by the sender's AE title where absent
    listed              INTEGER,          -- instances that the PACS listed last, while some of them are missing
    choice              TEXT    CHECK (choice IN ('wait', 'partial')), -- what a person said about that
    choice_by           TEXT,
    withdrawn_at_ms     INTEGER,
    withdrawn_by        TEXT,
    UNIQUE (case_id, sequence)
) STRICT;

INSERT INTO delivery (id, case_id, sequence, state, calling, completeness, summary, pieces, mail_bytes, cover_digest, attempts,
                      failing_since_ms, trouble, residual_of, residual_until_ms, residual_gone_at_ms, remark)
    SELECT id, case_id, sequence, state, calling, completeness, summary, pieces, mail_bytes, cover_digest, attempts,
           failing_since_ms, trouble, residual_of, residual_until_ms, residual_gone_at_ms, remark FROM delivery_before;
DROP TABLE delivery_before;

CREATE INDEX delivery_unfinished ON delivery (state) WHERE state NOT IN ('pulled', 'failed', 'cancelled', 'recalled');
CREATE UNIQUE INDEX delivery_residual ON delivery (residual_of)
    WHERE residual_of IS NOT NULL AND state NOT IN ('failed', 'cancelled', 'recalled');

-- What a list of studies shows of one: JSON, encrypted under the key of the case where the spool is (spool format).
CREATE TABLE study_card (
    case_id BLOB NOT NULL PRIMARY KEY REFERENCES study_case (id),
    card    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE instance ADD COLUMN modality TEXT; -- where the data set names one

-- A withdrawn delivery's mails in the mailbox of a doctor, until that is known to hold none.
CREATE TABLE withdrawn_mail (
    delivery_id  BLOB    NOT NULL REFERENCES delivery (id),
    doctor       TEXT    NOT NULL,
    removed      INTEGER NOT NULL DEFAULT 0, -- mails deleted so far
    looked_at_ms INTEGER,                    -- none was left then
    refused      INTEGER NOT NULL DEFAULT 0 CHECK (refused IN (0, 1)), -- the mailbox gives no right to delete
    PRIMARY KEY (delivery_id, doctor)
) STRICT, WITHOUT ROWID;
