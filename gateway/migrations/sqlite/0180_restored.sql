-- A journal that was restored from a backup, until its first start has compared it with the audit trail and the mailboxes. Times are milliseconds since 1970-01-01 UTC.
CREATE TABLE restored (
    one             INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    backed_up_at_ms INTEGER NOT NULL,
    restored_at_ms  INTEGER NOT NULL
) STRICT;

-- A delivery that was not sealed when the backup was made, and whose cover was found in a mailbox after the restore: what the cover's digest is, its first receipt says.
ALTER TABLE delivery ADD COLUMN found_mailed_at_ms INTEGER;

-- Deliveries of this case that the journal does not know may bear sequence numbers up to this one: they were begun after the backup.
ALTER TABLE study_case ADD COLUMN numbers_taken INTEGER NOT NULL DEFAULT 0;
