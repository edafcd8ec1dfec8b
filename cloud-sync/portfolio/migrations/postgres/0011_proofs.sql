-- Documents that stand behind entries of the books, in the parts in which they came. What is not whole yet
-- is shown to nobody.
CREATE TABLE proof (
    gateway  integer NOT NULL,
    sha256   bytea   NOT NULL,
    place    bigint  NOT NULL,  -- of the part's first byte
    whole    bigint  NOT NULL,  -- bytes of the document
    part     bytea   NOT NULL,
    PRIMARY KEY (gateway, sha256, place)
);
