-- A day of a series, once it is a week old: what its rows held, packed. What comes later for that day
-- is a row again until the next folding, and the later number counts.
CREATE TABLE folded (
    gateway  integer  NOT NULL,
    series   integer  NOT NULL,
    day      integer  NOT NULL,  -- since 1970, UTC
    content  bytea    NOT NULL,
    PRIMARY KEY (gateway, series, day)
);

-- The content is packed already.
ALTER TABLE folded ALTER COLUMN content SET STORAGE EXTERNAL;
