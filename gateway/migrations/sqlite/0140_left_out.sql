-- Nothing was sealed for this doctor, who had no certificate then: 1. One whom the mail server refused may be tried again with the same pieces.
ALTER TABLE recipient ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0 CHECK (left_out IN (0, 1));
-- Of earlier refusals nobody knows which they were, unless the mail server has taken some of it.
UPDATE recipient SET left_out = 1 WHERE refused IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM accepted_part p WHERE p.delivery_id = recipient.delivery_id AND p.doctor = recipient.doctor);
