-- What proves that the readings of this file are those that were stored: each seal covers the readings
-- with numbers behind the seal before, up to `last_seq`. From here on spool rows may be of version 2.
CREATE TABLE seal (
    number    INTEGER PRIMARY KEY CHECK (number > 0),
    at_ms     INTEGER NOT NULL,  -- when it was made
    last_seq  INTEGER NOT NULL,
    n         INTEGER NOT NULL CHECK (n > 0),
    before    BLOB    NOT NULL CHECK (length(before) = 32),  -- the hash of the seal before it
    hash      BLOB    NOT NULL CHECK (length(hash) = 32),
    signature BLOB    NOT NULL   -- of `hash`, by the device's key
) STRICT;
