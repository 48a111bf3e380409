-- Whose study a delivery is, as far as the audit trail names it. It outlives bundle and received files, since receipts come later, and is
-- deleted once none is to be expected any more.
CREATE TABLE subject (
    id          INTEGER NOT NULL PRIMARY KEY,
    delivery_id BLOB    NOT NULL REFERENCES delivery (id),
    calling     TEXT    NOT NULL, -- AE title that sent it
    patient     TEXT    NOT NULL, -- JSON: name in three ways, id, accession number
    UNIQUE (delivery_id, calling, patient)
) STRICT;

ALTER TABLE instance ADD COLUMN subject_id INTEGER; -- a subject of the same delivery, until that is deleted

-- Words for the operator about a delivery that goes on as it does; what is wrong with its stage is `trouble`.
ALTER TABLE delivery ADD COLUMN remark TEXT;
