-- Instance Number (0020,0013): a series is shown in this order, whatever the order in which it came.
ALTER TABLE instance ADD COLUMN instance_number INTEGER;
