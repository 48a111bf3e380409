-- A notice by each channel that tells a doctor. Times are milliseconds since 1970-01-01 UTC.

ALTER TABLE recipient ADD COLUMN level       INTEGER NOT NULL DEFAULT 0; -- channels up to this level tell the doctor
ALTER TABLE recipient ADD COLUMN level_at_ms INTEGER;                    -- when it was raised last
ALTER TABLE recipient ADD COLUMN told_level  INTEGER;                    -- up to which level there are rows in `notice`; none yet where NULL

CREATE TABLE notice (
    delivery_id    BLOB    NOT NULL,
    doctor         TEXT    NOT NULL,
    channel        TEXT    NOT NULL, -- name in the configuration
    level          INTEGER NOT NULL CHECK (level >= 0),
    state          TEXT    NOT NULL CHECK (state IN ('waiting', 'accepted', 'refused')),
    began_at_ms    INTEGER NOT NULL, -- the time that it tells, at each try
    attempts       INTEGER NOT NULL DEFAULT 0,
    next_try_ms    INTEGER NOT NULL,
    error          TEXT,             -- why the last try failed; bounded, no secret, no patient data
    must_act       TEXT    CHECK (must_act IN ('operator', 'server')),
    accepted_at_ms INTEGER,
    PRIMARY KEY (delivery_id, doctor, channel),
    FOREIGN KEY (delivery_id, doctor) REFERENCES recipient (delivery_id, doctor) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX notice_open ON notice (next_try_ms) WHERE state <> 'accepted';

-- Until now there was mail alone.
UPDATE recipient SET told_level = 0 WHERE notified_at_ms IS NOT NULL;
INSERT INTO notice (delivery_id, doctor, channel, level, state, began_at_ms, attempts, next_try_ms, accepted_at_ms)
    SELECT delivery_id, doctor, 'mail', 0, 'accepted', notified_at_ms, 1, notified_at_ms, notified_at_ms FROM recipient
    WHERE notified_at_ms IS NOT NULL;
