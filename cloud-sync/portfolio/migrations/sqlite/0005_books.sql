-- The two books of each promise of uptime: 0 a copy of the gateway's ledger, 1 the vendor's own.
CREATE TABLE book (
    gateway  INTEGER NOT NULL REFERENCES gateway (gateway),
    side     INTEGER NOT NULL,
    place    INTEGER NOT NULL,  -- from 0, without a hole
    entry    BLOB    NOT NULL,
    PRIMARY KEY (gateway, side, place)
) STRICT, WITHOUT ROWID;

-- The newest checkpoint of the gateway's book that both have signed.
CREATE TABLE book_note (
    gateway  INTEGER PRIMARY KEY REFERENCES gateway (gateway),
    note     TEXT    NOT NULL
) STRICT;
