CREATE TABLE correction (
    seq        INTEGER PRIMARY KEY,  -- of the reading that has the new figure
    made_ms    INTEGER NOT NULL,
    who        TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    series     INTEGER NOT NULL REFERENCES series (id),
    at_ms      INTEGER NOT NULL,     -- of the reading, and of the one in whose place it is
    old        INTEGER,              -- null: there was no figure
    old_reason INTEGER,              -- why there was none; null too: nothing was read
    new        INTEGER NOT NULL,
    counted    INTEGER NOT NULL CHECK (counted IN (0, 1))  -- whether the roll-ups have it
) STRICT;
CREATE INDEX correction_by_reading ON correction (series, at_ms);
