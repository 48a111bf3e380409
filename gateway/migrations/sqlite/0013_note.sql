-- What the sender has to say to the doctor, until it lies in the bundle; encrypted under the key of the case where the spool is.
ALTER TABLE delivery ADD COLUMN note BLOB;

ALTER TABLE withdrawn_mail RENAME COLUMN refused TO stays; -- the mailbox gives no right to delete
