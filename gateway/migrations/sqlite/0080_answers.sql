-- What comes back from a doctor. Times are milliseconds since 1970-01-01 UTC, by the gateway's clock.

ALTER TABLE recipient ADD COLUMN first_image_at_ms INTEGER; -- the receipt came that the first image was on the screen
ALTER TABLE recipient ADD COLUMN seen_at_ms INTEGER;        -- "seen" came, or an answer

-- Private key that answers to the delivery are sealed to; encrypted under the key of the case where the spool is, and gone with it.
ALTER TABLE delivery ADD COLUMN answer_key BLOB;

CREATE TABLE answer (
    id          INTEGER NOT NULL PRIMARY KEY,
    delivery_id BLOB    NOT NULL REFERENCES delivery (id),
    doctor      TEXT    NOT NULL,
    digest      BLOB    NOT NULL CHECK (length(digest) = 32), -- SHA-256 of the sealed answer: the same one again says nothing new
    kind        TEXT    NOT NULL CHECK (kind IN ('call_back', 'words', 'unreadable', 'closed')),
    words       BLOB,                                         -- encrypted as answer_key; gone with the case
    came_at_ms  INTEGER NOT NULL,
    UNIQUE (delivery_id, doctor, digest)
) STRICT;

-- How long a case was on a doctor's screen.
CREATE TABLE reading (
    delivery_id BLOB    NOT NULL REFERENCES delivery (id),
    doctor      TEXT    NOT NULL,
    ended_at    INTEGER NOT NULL, -- by the reader's clock, seconds since 1970-01-01 UTC
    seconds     INTEGER NOT NULL CHECK (seconds > 0),
    PRIMARY KEY (delivery_id, doctor, ended_at, seconds)
) STRICT, WITHOUT ROWID;
