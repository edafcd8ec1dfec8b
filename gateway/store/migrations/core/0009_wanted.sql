-- Times of which readings were damaged and set aside: what can be had of them elsewhere is wanted again.
CREATE TABLE wanted (
    number   INTEGER PRIMARY KEY,
    at_ms    INTEGER NOT NULL,  -- when it was found
    meter    BLOB,              -- NULL: every meter
    from_ms  INTEGER NOT NULL,
    until_ms INTEGER NOT NULL CHECK (until_ms > from_ms),
    fetched  INTEGER NOT NULL DEFAULT 0  -- readings that are there again
) STRICT;
