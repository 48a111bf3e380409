-- How long the gateway had run when a delivery was withdrawn: mailboxes are looked into for what was on its way by that, since a clock that jumps
-- forward ended the looking early. What was withdrawn in the last five days, the longest that anything is looked for, is looked for once more.
ALTER TABLE delivery ADD COLUMN withdrawn_running_ms INTEGER;
UPDATE delivery SET withdrawn_running_ms = (SELECT ms FROM running) WHERE withdrawn_at_ms > (unixepoch() - 432000) * 1000;
CREATE TRIGGER delivery_withdraws AFTER UPDATE OF withdrawn_at_ms ON delivery WHEN NEW.withdrawn_at_ms IS NOT NULL BEGIN
    UPDATE delivery SET withdrawn_running_ms = (SELECT ms FROM running) WHERE id = NEW.id;
END;
DROP INDEX delivery_withdrawn;
CREATE INDEX delivery_withdrawn ON delivery (withdrawn_running_ms) WHERE withdrawn_running_ms IS NOT NULL;
