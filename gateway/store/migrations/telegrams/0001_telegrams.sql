-- What meters said, byte by byte. A row is what one commit brought; see telegram_pack.rs.
CREATE TABLE said (
    number      INTEGER PRIMARY KEY CHECK (number > 0),
    first_cycle INTEGER NOT NULL,  -- the lowest number of a question
    last_cycle  INTEGER NOT NULL CHECK (last_cycle >= first_cycle),
    at_ms       INTEGER NOT NULL,  -- when the first was asked, as the clock showed
    crc32c      INTEGER NOT NULL,  -- of the other columns
    blob        BLOB    NOT NULL
) STRICT;

-- As in a raw file, of rows instead of readings.
CREATE TABLE seal (
    number    INTEGER PRIMARY KEY CHECK (number > 0),
    at_ms     INTEGER NOT NULL,
    last_row  INTEGER NOT NULL,
    n         INTEGER NOT NULL CHECK (n > 0),
    before    BLOB    NOT NULL CHECK (length(before) = 32),
    hash      BLOB    NOT NULL CHECK (length(hash) = 32),
    signature BLOB    NOT NULL
) STRICT;
