-- Metering points whose readings tell how somebody lives.
CREATE TABLE dwelling (
    site       BLOB     NOT NULL REFERENCES site (id),
    meter      BLOB     NOT NULL,
    household  TEXT     NOT NULL,  -- a pseudonym or a name
    fine       TEXT     NOT NULL,  -- roles that see what it showed within a day, with spaces
    marked_ms  INTEGER  NOT NULL,
    marked_by  TEXT     NOT NULL,
    PRIMARY KEY (site, meter)
) STRICT, WITHOUT ROWID;

-- What somebody said that they look at a dwelling for, and how often they did. The oldest go after two years.
CREATE TABLE look (
    id         BLOB     PRIMARY KEY,
    site       BLOB     NOT NULL REFERENCES site (id),
    meter      BLOB     NOT NULL,
    person     BLOB     NOT NULL,  -- who may be gone
    who        TEXT     NOT NULL,
    purpose    TEXT     NOT NULL,
    at_ms      INTEGER  NOT NULL,
    last_ms    INTEGER,
    looks      INTEGER  NOT NULL,
    downloads  INTEGER  NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX look_of_meter ON look (site, meter, person, at_ms);
CREATE INDEX look_by_time ON look (at_ms);
