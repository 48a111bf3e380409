-- The doctor handed the case over to whoever stands behind: what this one looked at counts no longer.
ALTER TABLE recipient ADD COLUMN passed_on_at_ms INTEGER;
-- The last alarm may be taken back with a hand-over; that there was one is not forgotten.
ALTER TABLE study_case ADD COLUMN first_alarmed_at_ms INTEGER;
UPDATE study_case SET first_alarmed_at_ms = alarmed_at_ms;
