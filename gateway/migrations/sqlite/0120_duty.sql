-- Tests with synthetic cases: the readiness of who goes on duty, and the daily function test. A row outlives its case. Times are milliseconds since
-- 1970-01-01 UTC.
CREATE TABLE duty_test (
    id             INTEGER NOT NULL PRIMARY KEY,
    kind           TEXT    NOT NULL CHECK (kind IN ('daily', 'readiness')),
    doctor         TEXT    NOT NULL, -- name in the configuration
    occasion       TEXT    NOT NULL, -- daily: the day, 2026-11-29; readiness: when the duty began, 2026-11-29T08:00:00Z
    study_uid      TEXT    NOT NULL, -- of the study that is made for it
    began_at_ms    INTEGER NOT NULL,
    delivery_id    BLOB    REFERENCES delivery (id), -- none before it was pressed
    returned_at_ms INTEGER,          -- the doctor opened it
    answered_at_ms INTEGER,          -- the doctor opened it, or anything else since
    late_at_ms     INTEGER,          -- it was not answered in time: then that was said
    seconds        TEXT,             -- JSON: of each stage, once it returned
    ended_at_ms    INTEGER,          -- its case was closed or withdrawn
    UNIQUE (kind, doctor, occasion)
) STRICT;

CREATE INDEX duty_test_open ON duty_test (id) WHERE ended_at_ms IS NULL;
CREATE INDEX duty_test_unanswered ON duty_test (doctor) WHERE answered_at_ms IS NULL;
CREATE INDEX duty_test_unreturned ON duty_test (delivery_id) WHERE returned_at_ms IS NULL;
CREATE INDEX duty_test_began ON duty_test (began_at_ms);

-- Whatever a doctor opens proves that the phone is reached.
CREATE TRIGGER recipient_opens AFTER UPDATE OF pulled_at_ms, first_image_at_ms, seen_at_ms ON recipient
    WHEN NEW.pulled_at_ms IS NOT OLD.pulled_at_ms OR NEW.first_image_at_ms IS NOT OLD.first_image_at_ms OR NEW.seen_at_ms IS NOT OLD.seen_at_ms
BEGIN
    UPDATE duty_test SET answered_at_ms = max(coalesce(NEW.pulled_at_ms, 0), coalesce(NEW.first_image_at_ms, 0), coalesce(NEW.seen_at_ms, 0))
        WHERE doctor = NEW.doctor AND answered_at_ms IS NULL;
    UPDATE duty_test SET returned_at_ms = max(coalesce(NEW.pulled_at_ms, 0), coalesce(NEW.first_image_at_ms, 0), coalesce(NEW.seen_at_ms, 0))
        WHERE delivery_id = NEW.delivery_id AND returned_at_ms IS NULL;
END;
