-- A certificate of the hospital's authority for the identity of a device that enrolled itself. A renewed key lies under the same identity.
CREATE TABLE identity_certificate (
    identity    BLOB    NOT NULL PRIMARY KEY, -- DER, as it was enrolled
    certificate BLOB    NOT NULL, -- DER, of the same key
    added_at_ms INTEGER NOT NULL, -- milliseconds since 1970-01-01 UTC
    added_by    TEXT    NOT NULL
) STRICT;
