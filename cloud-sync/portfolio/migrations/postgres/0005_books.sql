-- The two books of each promise of uptime: 0 a copy of the gateway's ledger, 1 the vendor's own.
CREATE TABLE book (
    gateway  integer  NOT NULL,
    side     smallint NOT NULL,
    place    bigint   NOT NULL,  -- from 0, without a hole
    entry    bytea    NOT NULL,
    PRIMARY KEY (gateway, side, place)
);

-- The newest checkpoint of the gateway's book that both have signed.
CREATE TABLE book_note (
    gateway  integer PRIMARY KEY,
    note     text    NOT NULL
);
