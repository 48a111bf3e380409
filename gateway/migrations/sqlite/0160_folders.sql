-- How many folders of the mailbox were searched when none of the mails was left, and how many were not; NULL where that was not counted.
ALTER TABLE withdrawn_mail ADD COLUMN folders INTEGER;
ALTER TABLE withdrawn_mail ADD COLUMN folders_unsearched INTEGER;
