-- Instances that a technician marked as key images of a study, until it is packed or deleted.
CREATE TABLE key_image (
    case_id          BLOB NOT NULL REFERENCES study_case (id),
    sop_instance_uid TEXT NOT NULL,
    PRIMARY KEY (case_id, sop_instance_uid)
) STRICT, WITHOUT ROWID;

-- A little picture of a study's middle image, encrypted under the key of the case where the spool is (spool format); empty: it has none.
CREATE TABLE study_picture (
    case_id   BLOB    NOT NULL PRIMARY KEY REFERENCES study_case (id),
    instances INTEGER NOT NULL, -- that were here when it was made
    picture   BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER study_card_forgotten AFTER DELETE ON study_card BEGIN
    DELETE FROM study_picture WHERE case_id = OLD.case_id;
    DELETE FROM key_image WHERE case_id = OLD.case_id;
END;
