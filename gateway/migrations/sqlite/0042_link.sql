-- Links for outside recipients. Times are milliseconds since 1970-01-01 UTC. Neither passphrase nor private key is kept in plain anywhere.
CREATE TABLE link (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    case_id       BLOB    NOT NULL REFERENCES study_case (id),
    doctor        TEXT    NOT NULL, -- the guest mailbox: its name in the configuration
    certificate   BLOB    NOT NULL, -- DER, that covers are sealed for
    message       BLOB,             -- the signed statement, until the mail server has it
    expires_at_ms INTEGER NOT NULL,
    made_at_ms    INTEGER NOT NULL,
    made_by       TEXT    NOT NULL,
    mailed_at_ms  INTEGER,
    ended_at_ms   INTEGER,          -- withdrawn, or its time is over: its mails are deleted
    gone_at_ms    INTEGER           -- the mailbox held none of it any more
) STRICT, WITHOUT ROWID;

CREATE INDEX link_of_case ON link (case_id);
