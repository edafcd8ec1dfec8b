-- A tree of names by which an owner orders buildings.
CREATE TABLE tag (
    id      BLOB  PRIMARY KEY,
    parent  BLOB  REFERENCES tag (id),
    name    TEXT  NOT NULL
) STRICT, WITHOUT ROWID;
-- Ids with a space between. One of a tag that is gone is none.
ALTER TABLE site ADD COLUMN tags TEXT NOT NULL DEFAULT '';
-- Where it is, in millionths of a degree; NULL while nobody has said.
ALTER TABLE site ADD COLUMN latitude_udeg INTEGER;
ALTER TABLE site ADD COLUMN longitude_udeg INTEGER;
-- What the gateway says that it is; NULL while it has not said.
ALTER TABLE gateway ADD COLUMN version TEXT;
-- `viewer tag ID` or `viewer site ID` in each line: what somebody may, and where; NULL for their role
-- everywhere.
ALTER TABLE person ADD COLUMN grants TEXT;
-- What makes somebody a link: JSON. It has no password, and a name that no person can have.
ALTER TABLE person ADD COLUMN link TEXT;
CREATE TABLE link_use (
    link     BLOB     NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    at_ms    INTEGER  NOT NULL,
    address  TEXT     NOT NULL,
    agent    TEXT     NOT NULL
) STRICT;
CREATE INDEX link_use_by_link ON link_use (link, at_ms);
