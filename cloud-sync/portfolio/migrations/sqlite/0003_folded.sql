-- A day of a series, once it is a week old: what its rows held, packed. What comes later for that day
-- is a row again until the next folding, and the later number counts.
CREATE TABLE folded (
    gateway  INTEGER NOT NULL,
    series   INTEGER NOT NULL,
    day      INTEGER NOT NULL,  -- since 1970, UTC
    content  BLOB    NOT NULL,
    PRIMARY KEY (gateway, series, day)
) STRICT, WITHOUT ROWID;
