-- For the list of all buildings: how complete the last days of each are.
CREATE INDEX account_days ON account (starts_ms);
