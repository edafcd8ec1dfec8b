-- What the spool held, packed by meter. A chunk is an hour or a day of it: the readings of some spool
-- rows, which are deleted in the same transaction, so that a reading is in one place at any instant.
CREATE TABLE chunk (
    number    INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 549755813887),
    first_seq INTEGER NOT NULL,  -- numbers between may be elsewhere: there are `n`
    last_seq  INTEGER NOT NULL CHECK (last_seq >= first_seq),
    n         INTEGER NOT NULL CHECK (n > 0),
    blocks    INTEGER NOT NULL CHECK (blocks > 0),
    ts        INTEGER NOT NULL,  -- of the earliest reading, milliseconds since 1970, UTC
    ts_last   INTEGER NOT NULL CHECK (ts_last >= ts),
    crc32c    INTEGER NOT NULL   -- of the other columns
) STRICT;

-- One meter's part of a chunk: `id` is the chunk's number times 2^24 and the meter's key, so that what
-- is written together lies together, and one meter's part is found in one step.
CREATE TABLE block (
    id     INTEGER PRIMARY KEY,
    n      INTEGER NOT NULL CHECK (n > 0),
    crc32c INTEGER NOT NULL,  -- of the other columns
    blob   BLOB    NOT NULL
) STRICT;

-- The keys of meters, in this file alone.
CREATE TABLE packed_meter (
    key   INTEGER PRIMARY KEY CHECK (key BETWEEN 1 AND 16777215),
    meter BLOB    NOT NULL UNIQUE
) STRICT;

-- Blocks that were found damaged, for somebody to look at.
CREATE TABLE set_aside (
    id       INTEGER PRIMARY KEY,
    at_ms    INTEGER NOT NULL,  -- when it was found
    sentence TEXT    NOT NULL,
    crc32c   INTEGER NOT NULL,
    blob     BLOB    NOT NULL
) STRICT;
