-- Times are milliseconds since 1970, UTC. A gateway is a small number here, so that a reading's key
-- is short; every unique key of what a gateway sent begins with it, and that of the readings holds
-- their time. So the schema can be spread by gateway (Citus) and by time without a change; what is
-- left, sites, people and certificates, is small and the same everywhere.

CREATE TABLE site (
    id         uuid    PRIMARY KEY,
    name       text    NOT NULL,
    place      text,
    time_zone  text    NOT NULL DEFAULT 'Europe/Oslo',
    made_ms    bigint  NOT NULL
);

CREATE INDEX site_by_name ON site (name);

CREATE TABLE gateway (
    gateway      integer  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           uuid     NOT NULL UNIQUE,
    site         uuid     NOT NULL REFERENCES site (id),
    enrolled_ms  bigint   NOT NULL
);

CREATE INDEX gateway_of_site ON gateway (site);

-- The allow-list: a certificate that our authority signed is good only while it stands here.
CREATE TABLE certificate (
    sha256      bytea    PRIMARY KEY,
    gateway     integer  NOT NULL REFERENCES gateway (gateway),
    ends_ms     bigint   NOT NULL,
    revoked_ms  bigint
);

CREATE INDEX certificate_of_gateway ON certificate (gateway);

-- One-time codes, by the hash of their secret. A spent one stays for its day, so that it can be
-- told from a wrong one, and so that a gateway that did not hear the answer can ask again.
CREATE TABLE enrol_code (
    sha256       bytea   PRIMARY KEY,
    site         uuid    NOT NULL REFERENCES site (id),
    expires_ms   bigint  NOT NULL,
    spent_by     uuid,    -- the gateway's id
    spent_key    bytea,   -- SHA-256 of its public key
    certificate  bytea    -- what it got
);

-- Which of a gateway's databases numbered its readings, in the order in which they were first seen.
CREATE TABLE epoch (
    gateway   integer  NOT NULL,
    epoch_no  integer  NOT NULL,
    epoch     bigint   NOT NULL,  -- 64 random bits
    since_ms  bigint   NOT NULL,
    PRIMARY KEY (gateway, epoch_no),
    UNIQUE (gateway, epoch)
);

-- How far a gateway is. It lies in the readings' own database and is written in their transaction:
-- a restored backup turns both back, and the gateway sends again. Its row is what receivers that
-- hear the same gateway wait for.
CREATE TABLE gateway_state (
    gateway          integer  PRIMARY KEY,
    epoch_no         integer  NOT NULL,
    acked            bigint   NOT NULL,
    head             bigint   NOT NULL,
    last_from        bigint   NOT NULL,  -- the batch that was stored last: a lost answer is
    last_to          bigint   NOT NULL,  -- recognised by it
    last_sha256      bytea    NOT NULL,
    last_contact_ms  bigint   NOT NULL
);

CREATE TABLE meter (
    gateway  integer  NOT NULL,
    meter    uuid     NOT NULL,
    name     text     NOT NULL,
    medium   text     NOT NULL,
    PRIMARY KEY (gateway, meter)
);

-- One register of one installed device. `series` is a number of ours: a gateway whose database was
-- made anew counts its series from 1 again, and series_name says which is which in each epoch.
CREATE TABLE series (
    gateway    integer   NOT NULL,
    series     integer   NOT NULL,
    point      uuid      NOT NULL,
    meter      uuid      NOT NULL,
    register   text      NOT NULL,
    kind       smallint  NOT NULL,  -- 0 counter, 1 gauge, 2 flag
    unit       text      NOT NULL,
    decimals   smallint  NOT NULL CHECK (decimals BETWEEN -12 AND 12),
    begins_ms  bigint    NOT NULL,
    serial     text      NOT NULL,
    PRIMARY KEY (gateway, series)
);

CREATE INDEX series_of_meter ON series (gateway, meter, register);

CREATE TABLE series_name (
    gateway   integer  NOT NULL,
    epoch_no  integer  NOT NULL,
    name      bigint   NOT NULL,  -- the gateway's number of the series, in this epoch
    series    integer  NOT NULL,
    PRIMARY KEY (gateway, epoch_no, name),
    UNIQUE (gateway, epoch_no, series)
);

-- flags = reason of absence + 256 x quality + 65536 x origin, by their codes; 0 is a live value
-- that nothing speaks against. A row is replaced only by one of a later number: a value that was
-- read again corrects the older one, and what is sent twice changes nothing.
--
-- A partition holds a day, and is made when the first reading of that day comes. What was measured
-- before there was a gateway, and what a wrong clock says, is no stream: it lies in two partitions.
CREATE TABLE readings (
    gateway         integer  NOT NULL,
    series          integer  NOT NULL,
    ts              bigint   NOT NULL,
    value_mantissa  bigint,
    epoch_no        integer  NOT NULL,
    seq             bigint   NOT NULL,
    flags           integer  NOT NULL,
    PRIMARY KEY (gateway, series, ts)
) PARTITION BY RANGE (ts);

CREATE TABLE readings_before_2025 PARTITION OF readings
    FOR VALUES FROM (MINVALUE) TO (1735689600000);
CREATE TABLE readings_from_2100 PARTITION OF readings
    FOR VALUES FROM (4102444800000) TO (MAXVALUE);

-- The newest reading of each series in `readings`: nobody looks through the days for it.
CREATE TABLE newest (
    gateway         integer  NOT NULL,
    series          integer  NOT NULL,
    ts              bigint   NOT NULL,
    value_mantissa  bigint,
    epoch_no        integer  NOT NULL,
    seq             bigint   NOT NULL,
    flags           integer  NOT NULL,
    PRIMARY KEY (gateway, series)
);

-- What the meters show now, from a gateway that is still catching up.
CREATE TABLE latest (
    gateway         integer  NOT NULL,
    series          integer  NOT NULL,
    ts              bigint   NOT NULL,
    value_mantissa  bigint,
    flags           integer  NOT NULL,
    PRIMARY KEY (gateway, series)
);

-- What somebody has to look at. Cleared by hand.
CREATE TABLE alarm (
    gateway     integer  NOT NULL,
    alarm       bigint   GENERATED ALWAYS AS IDENTITY,
    code        text     NOT NULL,  -- clone, lost, parked
    from_seq    bigint   NOT NULL,
    to_seq      bigint   NOT NULL,
    since_ms    bigint   NOT NULL,
    cleared_ms  bigint,
    PRIMARY KEY (gateway, alarm)
);

CREATE INDEX alarm_open ON alarm (gateway) WHERE cleared_ms IS NULL;

CREATE TABLE person (
    id        uuid    PRIMARY KEY,
    name      text    NOT NULL,
    folded    text    NOT NULL UNIQUE,  -- the name without capitals
    role      text    NOT NULL,
    password  text    NOT NULL,         -- argon2id, as a PHC string
    made_ms   bigint  NOT NULL
);

CREATE TABLE session (
    sha256   bytea   PRIMARY KEY,
    person   uuid    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    login    text,              -- stamps: wall clock, boot, age of the boot
    used     text    NOT NULL,
    ends_ms  bigint  NOT NULL
);

CREATE TABLE setting (
    key    text PRIMARY KEY,
    value  text NOT NULL
);
