-- What is asked of gateways, the newest of which are kept.
CREATE TABLE errand (
    gateway   integer  NOT NULL,
    id        uuid     NOT NULL,
    kind      smallint NOT NULL,
    asked_ms  bigint   NOT NULL,
    who       text     NOT NULL,
    until_ms  bigint   NOT NULL,
    body      bytea    NOT NULL,
    state     smallint NOT NULL,
    state_ms  bigint   NOT NULL,
    number    bigint   NOT NULL,  -- the version of the gateway's configuration, or 0
    said      text     NOT NULL,  -- by the gateway
    unheard   smallint NOT NULL,  -- 1: the gateway does not know how it stands
    PRIMARY KEY (gateway, id)
);

-- Diagnosis bundles, in the parts in which they came.
CREATE TABLE bundle (
    gateway   integer  NOT NULL,
    id        uuid     NOT NULL,  -- of the errand
    place     bigint   NOT NULL,  -- of the part's first byte
    sha256    bytea    NOT NULL,  -- of all of it
    whole     bigint   NOT NULL,  -- bytes of all of it
    part      bytea    NOT NULL,
    PRIMARY KEY (gateway, id, place)
);

-- Who did what with an errand. Never changed; the oldest go after two years.
CREATE TABLE errand_log (
    gateway   integer  NOT NULL,
    id        uuid     NOT NULL,  -- of the errand
    place     bigint   NOT NULL,  -- from 0, without a hole
    at_ms     bigint   NOT NULL,
    who       text     NOT NULL,
    what      text     NOT NULL,
    detail    text     NOT NULL,
    PRIMARY KEY (gateway, id, place)
);
