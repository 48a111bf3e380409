-- Doctors who stand behind others, in the order of the roster: the delivery lies in their mailbox, and the notice goes when nobody else opened it.
ALTER TABLE recipient ADD COLUMN stands_behind INTEGER NOT NULL DEFAULT 0 CHECK (stands_behind >= 0); -- 0: told at once
ALTER TABLE recipient ADD COLUMN escalated_at_ms INTEGER; -- when their turn came, milliseconds since 1970-01-01 UTC

CREATE INDEX recipient_standing_by ON recipient (delivery_id) WHERE stands_behind > 0 AND escalated_at_ms IS NULL;
