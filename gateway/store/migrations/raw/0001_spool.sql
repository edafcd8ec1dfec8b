-- One row for each commit: a bus round, or what came in 60 s. The blob holds `n` readings with the
-- numbers `first_seq` to `first_seq + n - 1`. No row spans more than a day, so that a question
-- about a time finds its rows by `ts` alone. `crc32c` covers the blob and the other columns.
CREATE TABLE spool (
    first_seq   INTEGER PRIMARY KEY,
    n           INTEGER NOT NULL CHECK (n > 0),
    cycle_seq   INTEGER NOT NULL,
    ts          INTEGER NOT NULL,  -- of the earliest reading, milliseconds since 1970, UTC
    ts_last     INTEGER NOT NULL CHECK (ts_last - ts BETWEEN 0 AND 86400000),
    boot_id     BLOB    NOT NULL,
    boottime_ms INTEGER NOT NULL,
    imported    INTEGER NOT NULL CHECK (imported IN (0, 1)),
    blob        BLOB    NOT NULL,
    crc32c      INTEGER NOT NULL
) STRICT;
CREATE INDEX spool_by_time ON spool (ts);

-- What the series numbers in the blobs mean: a copy of core.db's rows, so that a raw file can be
-- read on its own, and core.db can be made again from the raw files.
CREATE TABLE series (
    id        INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 2147483647),
    point     BLOB    NOT NULL,
    meter     BLOB    NOT NULL,
    register  TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    unit      TEXT    NOT NULL,
    decimals  INTEGER NOT NULL,
    serial    TEXT    NOT NULL,
    continues INTEGER,
    begins_ms INTEGER NOT NULL
) STRICT;
