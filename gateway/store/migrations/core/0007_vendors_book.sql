-- A copy of the book that the vendor keeps of the same promise of uptime, entry by entry.
CREATE TABLE vendor_chain (
    position INTEGER PRIMARY KEY,  -- from 0, without a hole
    entry    BLOB    NOT NULL
) STRICT;
