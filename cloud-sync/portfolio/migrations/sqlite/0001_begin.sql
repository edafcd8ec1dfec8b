-- Times are milliseconds since 1970, UTC. Ids are the 16 bytes of a UUID. A gateway is a small
-- number here, so that a reading's key is short; every key of what a gateway sent begins with it.

CREATE TABLE site (
    id         BLOB    PRIMARY KEY,
    name       TEXT    NOT NULL,
    place      TEXT,
    time_zone  TEXT    NOT NULL DEFAULT 'Europe/Oslo',
    made_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE gateway (
    gateway      INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB    NOT NULL UNIQUE,
    site         BLOB    NOT NULL REFERENCES site (id),
    enrolled_ms  INTEGER NOT NULL
) STRICT;

-- The allow-list: a certificate that our authority signed is good only while it stands here.
CREATE TABLE certificate (
    sha256      BLOB    PRIMARY KEY,
    gateway     INTEGER NOT NULL REFERENCES gateway (gateway),
    ends_ms     INTEGER NOT NULL,
    revoked_ms  INTEGER
) STRICT, WITHOUT ROWID;

-- One-time codes, by the hash of their secret. A spent one stays for its day, so that it can be
-- told from a wrong one, and so that a gateway that did not hear the answer can ask again.
CREATE TABLE enrol_code (
    sha256       BLOB    PRIMARY KEY,
    site         BLOB    NOT NULL REFERENCES site (id),
    expires_ms   INTEGER NOT NULL,
    spent_by     BLOB,    -- the gateway's id
    spent_key    BLOB,    -- SHA-256 of its public key
    certificate  BLOB     -- what it got
) STRICT, WITHOUT ROWID;

-- Which of a gateway's databases numbered its readings, in the order in which they were first seen.
CREATE TABLE epoch (
    gateway   INTEGER NOT NULL,
    epoch_no  INTEGER NOT NULL,
    epoch     INTEGER NOT NULL,  -- 64 random bits
    since_ms  INTEGER NOT NULL,
    PRIMARY KEY (gateway, epoch_no),
    UNIQUE (gateway, epoch)
) STRICT, WITHOUT ROWID;

-- How far a gateway is. It lies in the readings' own database and is written in their transaction:
-- a restored backup turns both back, and the gateway sends again.
CREATE TABLE gateway_state (
    gateway          INTEGER PRIMARY KEY,
    epoch_no         INTEGER NOT NULL,
    acked            INTEGER NOT NULL,
    head             INTEGER NOT NULL,
    last_from        INTEGER NOT NULL,  -- the batch that was stored last: a lost answer is
    last_to          INTEGER NOT NULL,  -- recognised by it
    last_sha256      BLOB    NOT NULL,
    last_contact_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE meter (
    gateway  INTEGER NOT NULL,
    meter    BLOB    NOT NULL,
    name     TEXT    NOT NULL,
    medium   TEXT    NOT NULL,
    PRIMARY KEY (gateway, meter)
) STRICT, WITHOUT ROWID;

-- One register of one installed device. `series` is a number of ours: a gateway whose database was
-- made anew counts its series from 1 again, and series_name says which is which in each epoch.
CREATE TABLE series (
    gateway    INTEGER NOT NULL,
    series     INTEGER NOT NULL,
    point      BLOB    NOT NULL,
    meter      BLOB    NOT NULL,
    register   TEXT    NOT NULL,
    kind       INTEGER NOT NULL,  -- 0 counter, 1 gauge, 2 flag
    unit       TEXT    NOT NULL,
    decimals   INTEGER NOT NULL CHECK (decimals BETWEEN -12 AND 12),
    begins_ms  INTEGER NOT NULL,
    serial     TEXT    NOT NULL,
    PRIMARY KEY (gateway, series)
) STRICT, WITHOUT ROWID;

CREATE INDEX series_of_meter ON series (gateway, meter, register);

CREATE TABLE series_name (
    gateway   INTEGER NOT NULL,
    epoch_no  INTEGER NOT NULL,
    name      INTEGER NOT NULL,  -- the gateway's number of the series, in this epoch
    series    INTEGER NOT NULL,
    PRIMARY KEY (gateway, epoch_no, name),
    UNIQUE (gateway, epoch_no, series)
) STRICT, WITHOUT ROWID;

-- flags = reason of absence + 256 x quality + 65536 x origin, by their codes; 0 is a live value
-- that nothing speaks against. A row is replaced only by one of a later number: a value that was
-- read again corrects the older one, and what is sent twice changes nothing.
CREATE TABLE readings (
    gateway         INTEGER NOT NULL,
    series          INTEGER NOT NULL,
    ts              INTEGER NOT NULL,
    value_mantissa  INTEGER,
    epoch_no        INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    flags           INTEGER NOT NULL,
    PRIMARY KEY (gateway, series, ts)
) STRICT, WITHOUT ROWID;

-- What the meters show now, from a gateway that is still catching up.
CREATE TABLE latest (
    gateway         INTEGER NOT NULL,
    series          INTEGER NOT NULL,
    ts              INTEGER NOT NULL,
    value_mantissa  INTEGER,
    flags           INTEGER NOT NULL,
    PRIMARY KEY (gateway, series)
) STRICT, WITHOUT ROWID;

-- What somebody has to look at. Cleared by hand.
CREATE TABLE alarm (
    alarm       INTEGER PRIMARY KEY AUTOINCREMENT,
    gateway     INTEGER NOT NULL,
    code        TEXT    NOT NULL,  -- clone, lost, parked
    from_seq    INTEGER NOT NULL,
    to_seq      INTEGER NOT NULL,
    since_ms    INTEGER NOT NULL,
    cleared_ms  INTEGER
) STRICT;

CREATE INDEX alarm_of_gateway ON alarm (gateway, cleared_ms);

CREATE TABLE person (
    id             BLOB    PRIMARY KEY,
    name           TEXT    NOT NULL,
    folded         TEXT    NOT NULL UNIQUE,  -- the name without capitals
    role           TEXT    NOT NULL,
    password       TEXT    NOT NULL,         -- argon2id, as a PHC string
    made_ms        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    sha256   BLOB    PRIMARY KEY,
    person   BLOB    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    login    TEXT,              -- stamps: wall clock, boot, age of the boot
    used     TEXT    NOT NULL,
    ends_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
    key    TEXT PRIMARY KEY,
    value  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
