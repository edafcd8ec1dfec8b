-- A tree of names by which an owner orders buildings.
CREATE TABLE tag (
    id      uuid  PRIMARY KEY,
    parent  uuid  REFERENCES tag (id),
    name    text  NOT NULL
);
-- Ids with a space between. One of a tag that is gone is none.
ALTER TABLE site ADD COLUMN tags text NOT NULL DEFAULT '';
-- Where it is, in millionths of a degree; NULL while nobody has said.
ALTER TABLE site ADD COLUMN latitude_udeg integer;
ALTER TABLE site ADD COLUMN longitude_udeg integer;
-- What the gateway says that it is; NULL while it has not said.
ALTER TABLE gateway ADD COLUMN version text;
-- `viewer tag ID` or `viewer site ID` in each line: what somebody may, and where; NULL for their role
-- everywhere.
ALTER TABLE person ADD COLUMN grants text;
-- What makes somebody a link: JSON. It has no password, and a name that no person can have.
ALTER TABLE person ADD COLUMN link text;
CREATE TABLE link_use (
    link     uuid     NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    at_ms    bigint  NOT NULL,
    address  text     NOT NULL,
    agent    text     NOT NULL
);
CREATE INDEX link_use_by_link ON link_use (link, at_ms);
