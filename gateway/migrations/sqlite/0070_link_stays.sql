-- The guest mailbox gives no right to delete: the mails of a link that ended stay there, and are not looked for any more.
ALTER TABLE link ADD COLUMN stays INTEGER NOT NULL DEFAULT 0 CHECK (stays IN (0, 1));
