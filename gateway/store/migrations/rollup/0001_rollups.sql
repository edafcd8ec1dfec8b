-- What the readings of a period come to, for each series. A row is made of the readings in its
-- period and of nothing else: what was used between the last reading of one row and the first of
-- the next is worked out when somebody asks. All values are mantissas.
--
-- `era` counts how often the wall clock went back under a series, so that in one era the order of
-- time is the order of seq. `up` and `down` are what the counter rose and fell from reading to
-- reading: up - down = last - first. `sum` is null where 64 bits do not hold it. `seq` is the
-- highest number in the row: a reading that is counted again is not counted twice.
-- A quarter hour of UTC, which is one of every civil time too.
CREATE TABLE quarter_hour (
    series     INTEGER NOT NULL,
    starts_at  INTEGER NOT NULL,
    era        INTEGER NOT NULL,
    first_at   INTEGER NOT NULL,
    first      INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    low        INTEGER NOT NULL,
    high       INTEGER NOT NULL,
    sum        INTEGER,
    n          INTEGER NOT NULL,
    remembered INTEGER NOT NULL,
    up         INTEGER NOT NULL,
    down       INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (series, starts_at, era)
) STRICT, WITHOUT ROWID;

-- A hour of UTC.
CREATE TABLE hour (
    series     INTEGER NOT NULL,
    starts_at  INTEGER NOT NULL,
    era        INTEGER NOT NULL,
    first_at   INTEGER NOT NULL,
    first      INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    low        INTEGER NOT NULL,
    high       INTEGER NOT NULL,
    sum        INTEGER,
    n          INTEGER NOT NULL,
    remembered INTEGER NOT NULL,
    up         INTEGER NOT NULL,
    down       INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (series, starts_at, era)
) STRICT, WITHOUT ROWID;

-- A day of the site's civil time: 23, 24 or 25 hours.
CREATE TABLE day (
    series     INTEGER NOT NULL,
    starts_at  INTEGER NOT NULL,
    era        INTEGER NOT NULL,
    first_at   INTEGER NOT NULL,
    first      INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    low        INTEGER NOT NULL,
    high       INTEGER NOT NULL,
    sum        INTEGER,
    n          INTEGER NOT NULL,
    remembered INTEGER NOT NULL,
    up         INTEGER NOT NULL,
    down       INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (series, starts_at, era)
) STRICT, WITHOUT ROWID;

-- A month of the site's civil time.
CREATE TABLE month (
    series     INTEGER NOT NULL,
    starts_at  INTEGER NOT NULL,
    era        INTEGER NOT NULL,
    first_at   INTEGER NOT NULL,
    first      INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    low        INTEGER NOT NULL,
    high       INTEGER NOT NULL,
    sum        INTEGER,
    n          INTEGER NOT NULL,
    remembered INTEGER NOT NULL,
    up         INTEGER NOT NULL,
    down       INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (series, starts_at, era)
) STRICT, WITHOUT ROWID;

-- The newest reading of each series, and its newest value.
CREATE TABLE progress (
    series       INTEGER PRIMARY KEY,
    era          INTEGER NOT NULL,
    era_began_ms INTEGER NOT NULL,
    live_at      INTEGER,           -- of the newest reading that a meter gave at once
    seq          INTEGER NOT NULL,
    at_ms        INTEGER NOT NULL,
    mantissa     INTEGER,           -- null is an absence
    reason       INTEGER NOT NULL,  -- 0 is none
    quality      INTEGER NOT NULL,
    origin       INTEGER NOT NULL,
    value_seq    INTEGER NOT NULL,  -- 0: there was no value yet
    value_at     INTEGER NOT NULL,
    value        INTEGER NOT NULL
) STRICT;

-- How often a meter answered in a quarter hour.
CREATE TABLE answers (
    meter      BLOB    NOT NULL,
    starts_at  INTEGER NOT NULL,
    answered   INTEGER NOT NULL,
    failed     INTEGER NOT NULL,
    remembered INTEGER NOT NULL,  -- answered from the meter's memory or a file, later
    seq        INTEGER NOT NULL,
    PRIMARY KEY (meter, starts_at)
) STRICT, WITHOUT ROWID;

-- A meter's failures in a row for one reason.
CREATE TABLE gap (
    meter     BLOB    NOT NULL,
    from_ms   INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    until_ms  INTEGER,           -- null: not over
    reason    INTEGER NOT NULL,
    tries     INTEGER NOT NULL,
    PRIMARY KEY (meter, from_ms, first_seq)
) STRICT, WITHOUT ROWID;

-- `applied_seq`: all readings up to this one are counted above. `time_zone`: of the days.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
