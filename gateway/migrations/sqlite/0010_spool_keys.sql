-- Keys of the spool (RFC 3394). Absent: plain.
ALTER TABLE study_case ADD COLUMN spool_key BLOB CHECK (spool_key IS NULL OR length(spool_key) = 40); -- under the master key
ALTER TABLE study_case ADD COLUMN spool_key_destroyed_at_ms INTEGER;
ALTER TABLE instance ADD COLUMN file_key BLOB CHECK (file_key IS NULL OR length(file_key) = 40); -- under that of the case
