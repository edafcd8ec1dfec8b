-- Documents that stand behind entries of the books, in the parts in which they came. What is not whole yet
-- is shown to nobody.
CREATE TABLE proof (
    gateway  INTEGER NOT NULL REFERENCES gateway (gateway),
    sha256   BLOB    NOT NULL,
    place    INTEGER NOT NULL,  -- of the part's first byte
    whole    INTEGER NOT NULL,  -- bytes of the document
    part     BLOB    NOT NULL,
    PRIMARY KEY (gateway, sha256, place)
) STRICT;
