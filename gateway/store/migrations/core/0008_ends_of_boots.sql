-- Why nothing was read after a row that waits, if the gateway was started anew then: `gateway_off` or
-- `power_off`.
ALTER TABLE waiting ADD COLUMN ended TEXT;
