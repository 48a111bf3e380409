-- The group of the roster that was on duty at the press: its rules say who is told after how long.
ALTER TABLE delivery ADD COLUMN duty_group TEXT;

-- A person asked for another notice: it goes, also of what was added to a case in silence.
ALTER TABLE recipient ADD COLUMN notify_again INTEGER NOT NULL DEFAULT 0 CHECK (notify_again IN (0, 1));
