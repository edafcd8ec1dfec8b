-- Readings that came while nobody knew what time it was, by the clock of their boot: they get their time
-- and their number once it is known. A row is packed like one of the spool.
CREATE TABLE waiting (
    number      INTEGER PRIMARY KEY,  -- in the order in which they came; the next row's is `n` more
    n           INTEGER NOT NULL CHECK (n > 0),
    cycle_seq   INTEGER NOT NULL,
    ts          INTEGER NOT NULL,     -- what the wall clock showed, which says nothing
    ts_last     INTEGER NOT NULL,
    boot_id     BLOB    NOT NULL,
    boottime_ms INTEGER NOT NULL,
    blob        BLOB    NOT NULL,
    crc32c      INTEGER NOT NULL,
    began_ms    INTEGER,              -- when their boot began; null: nobody knows yet
    estimated   INTEGER NOT NULL CHECK (estimated IN (0, 1)),
    seq         INTEGER               -- the number that its first reading is being given
) STRICT;
