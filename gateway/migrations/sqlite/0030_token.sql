-- Systems that use the interface for programs. Kept is the SHA-256 of the token: who reads the journal can use none.
CREATE TABLE api_token (
    digest      BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    name        TEXT    NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 32), -- of the system; also of one that was withdrawn
    role        TEXT    NOT NULL CHECK (role IN ('technician', 'administrator', 'auditor')),
    added_at_ms INTEGER NOT NULL, -- milliseconds since 1970-01-01 UTC
    added_by    TEXT    NOT NULL,
    ended_at_ms INTEGER
) STRICT, WITHOUT ROWID;
