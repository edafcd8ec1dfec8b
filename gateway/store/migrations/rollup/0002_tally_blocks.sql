-- Tallies, packed by meter: the rows of `quarter_hour`, `hour`, `day`, `month` and `answers` are brought
-- over when the store is opened, and those tables go. Quarter hours lie in a piece for each day of UTC,
-- days of the site in one for 32 days; hours and months are added up from them.
CREATE TABLE piece (
    number  INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 549755813887),
    step    INTEGER NOT NULL CHECK (step IN (0, 2)),  -- quarter hours, days
    ts      INTEGER NOT NULL,  -- when its first period begins
    ts_last INTEGER NOT NULL CHECK (ts_last >= ts),
    crc32c  INTEGER NOT NULL   -- of the other columns
) STRICT;
CREATE INDEX piece_by_time ON piece (step, ts);

-- One meter's part of a piece: `id` is the piece's number times 2^24 and the meter's key.
CREATE TABLE tally_block (
    id     INTEGER PRIMARY KEY,
    crc32c INTEGER NOT NULL,  -- of the other columns
    blob   BLOB    NOT NULL
) STRICT;

CREATE TABLE packed_meter (
    key   INTEGER PRIMARY KEY CHECK (key BETWEEN 1 AND 16777215),
    meter BLOB    NOT NULL UNIQUE
) STRICT;
