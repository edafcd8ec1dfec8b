-- How far the portfolio was asked for what is wanted again, so that a start or a cut connection goes on there.
ALTER TABLE wanted ADD COLUMN asked_meter BLOB;     -- about which meter it was asked last
ALTER TABLE wanted ADD COLUMN asked_until_ms INTEGER;  -- and up to which time of it
ALTER TABLE wanted ADD COLUMN over INTEGER NOT NULL DEFAULT 0 CHECK (over IN (0, 1));  -- it was asked about all
ALTER TABLE wanted ADD COLUMN recalled INTEGER NOT NULL DEFAULT 0;  -- readings that it had
-- The roll-ups have counted the lost readings up to this number.
ALTER TABLE wanted ADD COLUMN counted INTEGER NOT NULL DEFAULT 9223372036854775807;
