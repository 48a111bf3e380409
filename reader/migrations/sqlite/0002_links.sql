-- Links that were asked for and proved genuine: what was counted of each, and whether its message is gone from the mailbox for good.

DROP TABLE link;
CREATE TABLE link (
    link          BLOB PRIMARY KEY,
    mailbox       TEXT NOT NULL,
    expires_at    INTEGER NOT NULL,       -- of the statement; forgotten some time after
    tries         INTEGER NOT NULL DEFAULT 0,
    uses          INTEGER NOT NULL DEFAULT 0,
    gone_at_ms    INTEGER
) STRICT;
CREATE INDEX session_link ON session (link);
