-- What the migrations add up to. Written by a test.

-- core.db

CREATE TABLE series (
    id        INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 2147483647),
    point     BLOB    NOT NULL,
    meter     BLOB    NOT NULL,
    register  TEXT    NOT NULL,  -- the canonical text of its parts
    kind      TEXT    NOT NULL CHECK (kind IN ('counter', 'gauge', 'flag')),
    unit      TEXT    NOT NULL,  -- of the display, by its code
    decimals  INTEGER NOT NULL CHECK (decimals BETWEEN -12 AND 12),
    serial    TEXT    NOT NULL,  -- of the installed device; empty until it is known
    continues INTEGER REFERENCES series (id),  -- the coarser series of the same device
    begins_ms INTEGER NOT NULL,
    UNIQUE (meter, register, serial, unit, decimals)
) STRICT;
CREATE TABLE cursor (
    name  TEXT    PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE acknowledged (
    day_ms INTEGER PRIMARY KEY,
    seq    INTEGER NOT NULL
) STRICT;
CREATE TABLE lost (
    from_seq INTEGER PRIMARY KEY,
    to_seq   INTEGER NOT NULL CHECK (to_seq >= from_seq),
    reason   TEXT    NOT NULL CHECK (reason IN ('retention', 'damage')),
    at_ms    INTEGER NOT NULL
) STRICT;
CREATE TABLE schedule (
    from_ms    INTEGER NOT NULL,
    meter      BLOB    NOT NULL,
    every_secs INTEGER NOT NULL CHECK (every_secs >= 0),  -- 0: not any more
    PRIMARY KEY (from_ms, meter)
) STRICT, WITHOUT ROWID;
CREATE TABLE damage (
    number   INTEGER PRIMARY KEY,
    at_ms    INTEGER NOT NULL,
    sentence TEXT    NOT NULL
) STRICT;
CREATE TABLE setting (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE version (
    number INTEGER PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    who    TEXT    NOT NULL,
    why    TEXT    NOT NULL,
    text   TEXT    NOT NULL
, before BLOB NOT NULL DEFAULT x'', hash BLOB NOT NULL DEFAULT x'', signature BLOB) STRICT;
CREATE TABLE user (
    id         BLOB    PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    role       TEXT    NOT NULL,
    password   TEXT    NOT NULL,  -- a hash, never the password
    created_ms INTEGER NOT NULL,
    data       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE session (
    hash       BLOB    PRIMARY KEY,  -- of the token, never the token
    user       BLOB    NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL,
    seen_ms    INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    data       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_of_user ON session (user);
CREATE INDEX session_by_end ON session (expires_ms);
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    who    TEXT    NOT NULL,
    what   TEXT    NOT NULL,
    detail TEXT    NOT NULL
, before BLOB NOT NULL DEFAULT x'', hash BLOB NOT NULL DEFAULT x'') STRICT;
CREATE TABLE attempt (
    number INTEGER PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    body   BLOB    NOT NULL
) STRICT;
CREATE INDEX attempt_by_time ON attempt (at_ms);
CREATE TABLE chain (
    position INTEGER PRIMARY KEY CHECK (position >= 0),
    entry    BLOB    NOT NULL
) STRICT;
CREATE TABLE proof (
    sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    at_ms  INTEGER NOT NULL,
    bytes  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE outage (
    from_ms  INTEGER NOT NULL,
    until_ms INTEGER NOT NULL CHECK (until_ms > from_ms),
    cause    TEXT    NOT NULL CHECK (cause IN ('gateway_off', 'power_off', 'clock_wrong', 'disk')),
    PRIMARY KEY (from_ms, cause)
) STRICT, WITHOUT ROWID;
CREATE TABLE counter_break (
    at_ms      INTEGER NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('rollover', 'reset', 'swap', 'unit')),
    old_series INTEGER NOT NULL REFERENCES series (id),
    old_at_ms  INTEGER NOT NULL,
    old        INTEGER NOT NULL,
    new_series INTEGER NOT NULL REFERENCES series (id),
    new        INTEGER NOT NULL,
    PRIMARY KEY (old_series, old_at_ms, new_series)
) STRICT, WITHOUT ROWID;
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
, ended TEXT) STRICT;
CREATE TABLE event (
    number   INTEGER PRIMARY KEY,
    from_ms  INTEGER NOT NULL,
    until_ms INTEGER CHECK (until_ms >= from_ms),
    code     TEXT    NOT NULL,
    subject  TEXT    NOT NULL,  -- the id of a meter or a bus, a month; empty for the gateway itself
    params   TEXT    NOT NULL,  -- what its sentence needs, in the caller's own form
    UNIQUE (code, subject, from_ms)
) STRICT;
CREATE INDEX event_open ON event (code, subject) WHERE until_ms IS NULL;
CREATE TABLE vendor_chain (
    position INTEGER PRIMARY KEY,  -- from 0, without a hole
    entry    BLOB    NOT NULL
) STRICT;
CREATE TABLE wanted (
    number   INTEGER PRIMARY KEY,
    at_ms    INTEGER NOT NULL,  -- when it was found
    meter    BLOB,              -- NULL: every meter
    from_ms  INTEGER NOT NULL,
    until_ms INTEGER NOT NULL CHECK (until_ms > from_ms),
    fetched  INTEGER NOT NULL DEFAULT 0  -- readings that are there again
, asked_meter BLOB, asked_until_ms INTEGER, over INTEGER NOT NULL DEFAULT 0 CHECK (over IN (0, 1)), recalled INTEGER NOT NULL DEFAULT 0, counted INTEGER NOT NULL DEFAULT 9223372036854775807) STRICT;
CREATE TABLE head (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    at_ms     INTEGER NOT NULL,
    audit     INTEGER NOT NULL,  -- the number of the entry; 0: there was none
    version   INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    signature BLOB    NOT NULL
) STRICT;

-- raw-YYYY-MM.db

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
CREATE TABLE block (
    id     INTEGER PRIMARY KEY,
    n      INTEGER NOT NULL CHECK (n > 0),
    crc32c INTEGER NOT NULL,  -- of the other columns
    blob   BLOB    NOT NULL
) STRICT;
CREATE TABLE packed_meter (
    key   INTEGER PRIMARY KEY CHECK (key BETWEEN 1 AND 16777215),
    meter BLOB    NOT NULL UNIQUE
) STRICT;
CREATE TABLE set_aside (
    id       INTEGER PRIMARY KEY,
    at_ms    INTEGER NOT NULL,  -- when it was found
    sentence TEXT    NOT NULL,
    crc32c   INTEGER NOT NULL,
    blob     BLOB    NOT NULL
) STRICT;
CREATE TABLE seal (
    number    INTEGER PRIMARY KEY CHECK (number > 0),
    at_ms     INTEGER NOT NULL,  -- when it was made
    last_seq  INTEGER NOT NULL,
    n         INTEGER NOT NULL CHECK (n > 0),
    before    BLOB    NOT NULL CHECK (length(before) = 32),  -- the hash of the seal before it
    hash      BLOB    NOT NULL CHECK (length(hash) = 32),
    signature BLOB    NOT NULL   -- of `hash`, by the device's key
) STRICT;

-- rollup.db

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
CREATE TABLE answers (
    meter      BLOB    NOT NULL,
    starts_at  INTEGER NOT NULL,
    answered   INTEGER NOT NULL,
    failed     INTEGER NOT NULL,
    remembered INTEGER NOT NULL,  -- answered from the meter's memory or a file, later
    seq        INTEGER NOT NULL,
    PRIMARY KEY (meter, starts_at)
) STRICT, WITHOUT ROWID;
CREATE TABLE gap (
    meter     BLOB    NOT NULL,
    from_ms   INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    until_ms  INTEGER,           -- null: not over
    reason    INTEGER NOT NULL,
    tries     INTEGER NOT NULL,
    PRIMARY KEY (meter, from_ms, first_seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE piece (
    number  INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 549755813887),
    step    INTEGER NOT NULL CHECK (step IN (0, 2)),  -- quarter hours, days
    ts      INTEGER NOT NULL,  -- when its first period begins
    ts_last INTEGER NOT NULL CHECK (ts_last >= ts),
    crc32c  INTEGER NOT NULL   -- of the other columns
) STRICT;
CREATE INDEX piece_by_time ON piece (step, ts);
CREATE TABLE tally_block (
    id     INTEGER PRIMARY KEY,
    crc32c INTEGER NOT NULL,  -- of the other columns
    blob   BLOB    NOT NULL
) STRICT;
CREATE TABLE packed_meter (
    key   INTEGER PRIMARY KEY CHECK (key BETWEEN 1 AND 16777215),
    meter BLOB    NOT NULL UNIQUE
) STRICT;

-- telegrams-NNNNNN.db

CREATE TABLE said (
    number      INTEGER PRIMARY KEY CHECK (number > 0),
    first_cycle INTEGER NOT NULL,  -- the lowest number of a question
    last_cycle  INTEGER NOT NULL CHECK (last_cycle >= first_cycle),
    at_ms       INTEGER NOT NULL,  -- when the first was asked, as the clock showed
    crc32c      INTEGER NOT NULL,  -- of the other columns
    blob        BLOB    NOT NULL
) STRICT;
CREATE TABLE seal (
    number    INTEGER PRIMARY KEY CHECK (number > 0),
    at_ms     INTEGER NOT NULL,
    last_row  INTEGER NOT NULL,
    n         INTEGER NOT NULL CHECK (n > 0),
    before    BLOB    NOT NULL CHECK (length(before) = 32),
    hash      BLOB    NOT NULL CHECK (length(hash) = 32),
    signature BLOB    NOT NULL
) STRICT;
