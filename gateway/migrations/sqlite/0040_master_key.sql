-- What lies under the master key of the spool.

-- The key itself lies elsewhere: its name tells it from others, and who reads it learns nothing of the key.
CREATE TABLE master_key (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    name     BLOB    NOT NULL CHECK (length(name) = 32), -- HMAC-SHA-256 under it
    since_ms INTEGER NOT NULL -- milliseconds since 1970-01-01 UTC: in use since then, at least
) STRICT;

CREATE TABLE subject_sealed (
    id          INTEGER NOT NULL PRIMARY KEY,
    delivery_id BLOB    NOT NULL REFERENCES delivery (id),
    calling     TEXT    NOT NULL, -- AE title that sent it
    tag         BLOB    CHECK (tag IS NULL OR length(tag) = 32), -- keyed: the same for one patient of one delivery; none in rows of before
    patient     BLOB    NOT NULL -- JSON: name in three ways, id, accession number; encrypted under the master key where there is one (spool format)
) STRICT;
INSERT INTO subject_sealed (id, delivery_id, calling, patient)
    SELECT id, delivery_id, calling, CAST(patient AS BLOB) FROM subject;
DROP TABLE subject;
ALTER TABLE subject_sealed RENAME TO subject;

CREATE INDEX subject_of_delivery ON subject (delivery_id, calling, tag);
