-- Every time is milliseconds since 1970, UTC. Every id is the 16 bytes of a UUID.

-- A series is one register of one installed device, counted in steps of one size, so its
-- mantissas can be compared, subtracted and summed as they are. A point, one register of one
-- meter of the configuration, links its series. No row is ever deleted: a number is never used
-- again. Each raw file holds a copy of the rows that it speaks of.
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

-- Where we are: `epoch`, `acked` (lags behind the cloud, never leads) and `reserved` (leads
-- every seq that was ever given, so that none is given twice when a raw file is lost).
CREATE TABLE cursor (
    name  TEXT    PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How far the cloud had acknowledged at the end of a day: what may leave the disk, and when.
CREATE TABLE acknowledged (
    day_ms INTEGER PRIMARY KEY,
    seq    INTEGER NOT NULL
) STRICT;

-- Ranges of seq that are gone for good, and why.
CREATE TABLE lost (
    from_seq INTEGER PRIMARY KEY,
    to_seq   INTEGER NOT NULL CHECK (to_seq >= from_seq),
    reason   TEXT    NOT NULL CHECK (reason IN ('retention', 'damage')),
    at_ms    INTEGER NOT NULL
) STRICT;

-- Which answers are expected of a meter, from that instant until its next row.
CREATE TABLE schedule (
    from_ms    INTEGER NOT NULL,
    meter      BLOB    NOT NULL,
    every_secs INTEGER NOT NULL CHECK (every_secs >= 0),  -- 0: not any more
    PRIMARY KEY (from_ms, meter)
) STRICT, WITHOUT ROWID;

-- What was found damaged and put aside, in a sentence each.
CREATE TABLE damage (
    number   INTEGER PRIMARY KEY,
    at_ms    INTEGER NOT NULL,
    sentence TEXT    NOT NULL
) STRICT;

CREATE TABLE setting (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Every version of the site's configuration.
CREATE TABLE version (
    number INTEGER PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    who    TEXT    NOT NULL,
    why    TEXT    NOT NULL,
    text   TEXT    NOT NULL
) STRICT;

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
) STRICT;

-- Probe attempts of the uptime ledger, in the prober's own bytes.
CREATE TABLE attempt (
    number INTEGER PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    body   BLOB    NOT NULL
) STRICT;
CREATE INDEX attempt_by_time ON attempt (at_ms);

-- Entries of the ledger in their canonical bytes, without a hole.
CREATE TABLE chain (
    position INTEGER PRIMARY KEY CHECK (position >= 0),
    entry    BLOB    NOT NULL
) STRICT;
