-- Numbers of instances and the series of a case, kept as instances come, so that a list of thousands of studies need not count them.

CREATE TABLE delivery_count (
    delivery_id      BLOB    NOT NULL PRIMARY KEY REFERENCES delivery (id),
    instances        INTEGER NOT NULL,
    conflicts        INTEGER NOT NULL,
    bytes            INTEGER NOT NULL,
    last_received_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE case_series (
    case_id    BLOB NOT NULL REFERENCES study_case (id),
    series_uid TEXT NOT NULL,
    modality   TEXT,
    PRIMARY KEY (case_id, series_uid)
) STRICT, WITHOUT ROWID;

INSERT INTO delivery_count SELECT delivery_id, count(*), sum(conflict), sum(bytes), max(received_at_ms) FROM instance GROUP BY delivery_id;
INSERT INTO case_series SELECT case_id, series_uid, max(modality) FROM instance GROUP BY case_id, series_uid;

CREATE TRIGGER instance_added AFTER INSERT ON instance BEGIN
    INSERT INTO delivery_count VALUES (NEW.delivery_id, 1, NEW.conflict, NEW.bytes, NEW.received_at_ms)
        ON CONFLICT DO UPDATE SET instances = instances + 1, conflicts = conflicts + NEW.conflict, bytes = bytes + NEW.bytes,
                                  last_received_ms = max(last_received_ms, NEW.received_at_ms);
    INSERT INTO case_series VALUES (NEW.case_id, NEW.series_uid, NEW.modality) ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER instance_moved AFTER UPDATE OF delivery_id ON instance WHEN OLD.delivery_id <> NEW.delivery_id BEGIN
    UPDATE delivery_count SET instances = instances - 1, conflicts = conflicts - OLD.conflict, bytes = bytes - OLD.bytes
        WHERE delivery_id = OLD.delivery_id;
    INSERT INTO delivery_count VALUES (NEW.delivery_id, 1, NEW.conflict, NEW.bytes, NEW.received_at_ms)
        ON CONFLICT DO UPDATE SET instances = instances + 1, conflicts = conflicts + NEW.conflict, bytes = bytes + NEW.bytes,
                                  last_received_ms = max(last_received_ms, NEW.received_at_ms);
    INSERT INTO case_series VALUES (NEW.case_id, NEW.series_uid, NEW.modality) ON CONFLICT DO NOTHING;
END;

CREATE INDEX study_case_opened ON study_case (opened_at_ms);
