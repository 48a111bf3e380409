-- The case in which a withdrawn study waits for another press: what a list shows of it lies there.
ALTER TABLE study_case ADD COLUMN held_as BLOB REFERENCES study_case (id);
CREATE INDEX study_case_held_as ON study_case (held_as) WHERE held_as IS NOT NULL;
