-- How many readings from from_seq to to_seq an alarm is about: one of a kind is open for a gateway, and
-- grows with each further reason for it.
ALTER TABLE alarm ADD COLUMN concerned INTEGER NOT NULL DEFAULT 0;
UPDATE alarm SET concerned = to_seq - from_seq + 1 WHERE to_seq > 0;
