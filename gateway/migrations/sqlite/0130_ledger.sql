-- The time ledger asks for what was pressed in some weeks.
CREATE INDEX stage_time_receive ON stage_time (began_at_ms) WHERE stage = 'receive';
