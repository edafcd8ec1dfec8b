-- What is asked of gateways, the newest of which are kept.
CREATE TABLE errand (
    gateway   INTEGER NOT NULL REFERENCES gateway (gateway),
    id        BLOB    NOT NULL,
    kind      INTEGER NOT NULL,
    asked_ms  INTEGER NOT NULL,
    who       TEXT    NOT NULL,
    until_ms  INTEGER NOT NULL,
    body      BLOB    NOT NULL,
    state     INTEGER NOT NULL,
    state_ms  INTEGER NOT NULL,
    number    INTEGER NOT NULL,  -- the version of the gateway's configuration, or 0
    said      TEXT    NOT NULL,  -- by the gateway
    unheard   INTEGER NOT NULL,  -- 1: the gateway does not know how it stands
    PRIMARY KEY (gateway, id)
) STRICT;

-- Diagnosis bundles, in the parts in which they came.
CREATE TABLE bundle (
    gateway  INTEGER NOT NULL REFERENCES gateway (gateway),
    id       BLOB    NOT NULL,  -- of the errand
    place    INTEGER NOT NULL,  -- of the part's first byte
    sha256   BLOB    NOT NULL,  -- of all of it
    whole    INTEGER NOT NULL,  -- bytes of all of it
    part     BLOB    NOT NULL,
    PRIMARY KEY (gateway, id, place)
) STRICT;

-- Who did what with an errand. Never changed; the oldest go after two years.
CREATE TABLE errand_log (
    gateway  INTEGER NOT NULL REFERENCES gateway (gateway),
    id       BLOB    NOT NULL,  -- of the errand
    place    INTEGER NOT NULL,  -- from 0, without a hole
    at_ms    INTEGER NOT NULL,
    who      TEXT    NOT NULL,
    what     TEXT    NOT NULL,
    detail   TEXT    NOT NULL,
    PRIMARY KEY (gateway, id, place)
) STRICT;
