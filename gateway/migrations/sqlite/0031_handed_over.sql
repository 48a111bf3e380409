-- All that are left of a delivery's doctors have only mail programs, which send no receipts, and the mail server has their messages: nobody is
-- waited for any more.
ALTER TABLE delivery ADD COLUMN handed_over_at_ms INTEGER;
