-- When the file of an instance was found damaged or gone in the spool; NULL where it is not known to be. The same bytes take its place when they come again.
ALTER TABLE instance ADD COLUMN damaged_at_ms INTEGER;
CREATE INDEX instance_damaged ON instance (delivery_id) WHERE damaged_at_ms IS NOT NULL;
