-- Cases that end. Times are milliseconds since 1970-01-01 UTC.

-- SQLite changes no CHECK: the table is made again. Rows elsewhere that point to it are judged at the end.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE delivery_before AS SELECT * FROM delivery;
DROP TABLE delivery;

-- One sealed journey of a case. The state is the last stage that is done; 'held' has none behind it yet, 'closed' ended with its case.
CREATE TABLE delivery (
    id                  BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    case_id             BLOB    NOT NULL REFERENCES study_case (id),
    sequence            INTEGER NOT NULL CHECK (sequence >= 1),
    state               TEXT    NOT NULL CHECK (state IN ('held', 'received', 'assembled', 'compressed', 'sealed', 'submitted', 'notified',
                          'pulled', 'failed', 'cancelled', 'recalled', 'closed')),
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
    withdrawn_at_ms     INTEGER,          -- it was cancelled, recalled or closed
    withdrawn_by        TEXT,
    note                BLOB,             -- what the sender has to say to the doctor, until it lies in the bundle; encrypted as answer_key
    handed_over_at_ms   INTEGER,          -- all that are left have only mail programs, and the mail server has their messages
    answer_key          BLOB,             -- private key of answers; encrypted under the key of the case where the spool is, and gone with it
    UNIQUE (case_id, sequence)
) STRICT;

INSERT INTO delivery (id, case_id, sequence, state, calling, completeness, summary, pieces, mail_bytes, cover_digest, attempts,
                      failing_since_ms, trouble, residual_of, residual_until_ms, residual_gone_at_ms, remark, urgent, pressed_at_ms,
                      pressed_by, pacs, listed, choice, choice_by, withdrawn_at_ms, withdrawn_by, note, handed_over_at_ms, answer_key)
    SELECT id, case_id, sequence, state, calling, completeness, summary, pieces, mail_bytes, cover_digest, attempts,
           failing_since_ms, trouble, residual_of, residual_until_ms, residual_gone_at_ms, remark, urgent, pressed_at_ms,
           pressed_by, pacs, listed, choice, choice_by, withdrawn_at_ms, withdrawn_by, note, handed_over_at_ms, answer_key
    FROM delivery_before;
DROP TABLE delivery_before;

CREATE INDEX delivery_state ON delivery (state);
CREATE INDEX delivery_withdrawn ON delivery (withdrawn_at_ms) WHERE withdrawn_at_ms IS NOT NULL;
CREATE INDEX withdrawn_mail_unlooked ON withdrawn_mail (delivery_id) WHERE looked_at_ms IS NULL AND stays = 0;
CREATE UNIQUE INDEX delivery_residual ON delivery (residual_of)
    WHERE residual_of IS NOT NULL AND state NOT IN ('failed', 'cancelled', 'recalled', 'closed');

-- How long the gateway has run with this journal, in milliseconds: what the age of a case is told by. A clock that is set moves no case.
CREATE TABLE running (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    ms  INTEGER NOT NULL CHECK (ms >= 0)
) STRICT;
INSERT INTO running VALUES (1, 0);

ALTER TABLE study_case ADD COLUMN opened_running_ms INTEGER NOT NULL DEFAULT 0; -- running.ms when it was opened
CREATE TRIGGER study_case_opens AFTER INSERT ON study_case BEGIN
    UPDATE study_case SET opened_running_ms = (SELECT ms FROM running) WHERE id = NEW.id;
END;

ALTER TABLE study_case ADD COLUMN mailed_running_ms INTEGER;        -- running.ms when the mail server had the last of it for a doctor
ALTER TABLE study_case ADD COLUMN alarmed_at_ms INTEGER;            -- nobody opened it, everybody was told: the page rings
ALTER TABLE study_case ADD COLUMN alarm_heard_at_ms INTEGER;        -- a person at the hospital said to have heard
ALTER TABLE study_case ADD COLUMN alarm_heard_by TEXT;
ALTER TABLE study_case ADD COLUMN ended_at_ms INTEGER;
ALTER TABLE study_case ADD COLUMN ended_by TEXT;                    -- who closed it; absent where its time was over
ALTER TABLE study_case ADD COLUMN ended_how TEXT CHECK (ended_how IN ('closed', 'expired', 'handed_over', 'unopened'));
ALTER TABLE study_case ADD COLUMN deletion_proved_at_ms INTEGER;

-- What is looked for at each change of the journal. Conditions are those of the queries, word for word.
CREATE INDEX study_case_mailed ON study_case (mailed_running_ms) WHERE ended_at_ms IS NULL;
CREATE INDEX study_case_ending ON study_case (ended_at_ms) WHERE ended_at_ms IS NOT NULL AND deletion_proved_at_ms IS NULL;

-- How long the gateway had run when the last instance came.
ALTER TABLE delivery_count ADD COLUMN last_received_running_ms INTEGER NOT NULL DEFAULT 0;
DROP TRIGGER instance_added;
DROP TRIGGER instance_moved;
CREATE TRIGGER instance_added AFTER INSERT ON instance BEGIN
    INSERT INTO delivery_count VALUES (NEW.delivery_id, 1, NEW.conflict, NEW.bytes, NEW.received_at_ms, (SELECT ms FROM running))
        ON CONFLICT DO UPDATE SET instances = instances + 1, conflicts = conflicts + NEW.conflict, bytes = bytes + NEW.bytes,
                                  last_received_ms = max(last_received_ms, NEW.received_at_ms),
                                  last_received_running_ms = excluded.last_received_running_ms;
    INSERT INTO case_series VALUES (NEW.case_id, NEW.series_uid, NEW.modality) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER instance_moved AFTER UPDATE OF delivery_id ON instance WHEN OLD.delivery_id <> NEW.delivery_id BEGIN
    UPDATE delivery_count SET instances = instances - 1, conflicts = conflicts - OLD.conflict, bytes = bytes - OLD.bytes
        WHERE delivery_id = OLD.delivery_id;
    INSERT INTO delivery_count VALUES (NEW.delivery_id, 1, NEW.conflict, NEW.bytes, NEW.received_at_ms, (SELECT ms FROM running))
        ON CONFLICT DO UPDATE SET instances = instances + 1, conflicts = conflicts + NEW.conflict, bytes = bytes + NEW.bytes,
                                  last_received_ms = max(last_received_ms, NEW.received_at_ms),
                                  last_received_running_ms = excluded.last_received_running_ms;
    INSERT INTO case_series VALUES (NEW.case_id, NEW.series_uid, NEW.modality) ON CONFLICT DO NOTHING;
END;

-- Cases that were mailed before are as old as this table.
UPDATE study_case SET mailed_running_ms = 0
    WHERE closed_at_ms IS NULL AND EXISTS (SELECT 1 FROM delivery d WHERE d.case_id = study_case.id AND d.state IN ('submitted', 'notified', 'pulled'));
