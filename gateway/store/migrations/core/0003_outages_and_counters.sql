-- From when to when the gateway could not read meters or keep what it read, and why: what the account
-- of answers names as the cause of what is missing.
CREATE TABLE outage (
    from_ms  INTEGER NOT NULL,
    until_ms INTEGER NOT NULL CHECK (until_ms > from_ms),
    cause    TEXT    NOT NULL CHECK (cause IN ('gateway_off', 'power_off', 'clock_wrong', 'disk')),
    PRIMARY KEY (from_ms, cause)
) STRICT, WITHOUT ROWID;

-- What a counter did that is no use: it ran over, was set back, or another device or unit took its place.
-- The old and the new figure are steps of their series.
CREATE TABLE counter_break (
    at_ms      INTEGER NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('rollover', 'reset', 'swap', 'unit')),
    old_series INTEGER NOT NULL REFERENCES series (id),
    old_at_ms  INTEGER NOT NULL,
    old        INTEGER NOT NULL,
    new_series INTEGER NOT NULL REFERENCES series (id),
    new        INTEGER NOT NULL,
    PRIMARY KEY (old_series, old_at_ms, new_series)
) STRICT, WITHOUT ROWID;
