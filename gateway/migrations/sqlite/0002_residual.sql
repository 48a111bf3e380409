-- The residual of a bundle: kept back for who asks, mailed as a delivery of its own. Times are milliseconds since 1970-01-01 UTC.

ALTER TABLE delivery ADD COLUMN residual_of BLOB REFERENCES delivery (id); -- this delivery carries the residual of that one
ALTER TABLE delivery ADD COLUMN residual_until_ms INTEGER;                 -- its own residual is kept back until then, at least
ALTER TABLE delivery ADD COLUMN residual_gone_at_ms INTEGER;               -- and was deleted then

-- However often it is asked for, it goes once; one that failed may be begun again.
CREATE UNIQUE INDEX delivery_residual ON delivery (residual_of) WHERE residual_of IS NOT NULL AND state <> 'failed';

-- When the doctor's last request was signed, by the reader's clock, in seconds: an older one is a replay.
ALTER TABLE recipient ADD COLUMN exact_asked_at INTEGER;
