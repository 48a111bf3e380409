-- The list of studies goes page by page, the newest first; of cases of one moment the id decides.
DROP INDEX study_case_opened;
CREATE INDEX study_case_opened ON study_case (opened_at_ms, id);
