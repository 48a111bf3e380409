-- Presses that can still be taken back. They are kept here and not in the browser: whoever closes it has pressed all the same.
CREATE TABLE press_wait (
    id          INTEGER NOT NULL PRIMARY KEY,
    case_id     BLOB    UNIQUE REFERENCES study_case (id), -- a study that lies here
    pacs        TEXT,                                      -- or one at this PACS of the configuration
    study_uid   TEXT,
    doctors     TEXT    NOT NULL, -- JSON: names in the configuration
    urgent      INTEGER NOT NULL CHECK (urgent IN (0, 1)),
    note        BLOB,             -- encrypted under the master key where the spool is (spool format)
    pressed_by  TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL, -- milliseconds since 1970-01-01 UTC
    due_at_ms   INTEGER NOT NULL, -- then it counts
    CHECK ((case_id IS NULL) = (pacs IS NOT NULL) AND (pacs IS NULL) = (study_uid IS NULL)),
    UNIQUE (pacs, study_uid)
) STRICT;
