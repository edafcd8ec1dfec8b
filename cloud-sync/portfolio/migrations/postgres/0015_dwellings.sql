-- Metering points whose readings tell how somebody lives.
CREATE TABLE dwelling (
    site       uuid     NOT NULL REFERENCES site (id),
    meter      uuid     NOT NULL,
    household  text     NOT NULL,  -- a pseudonym or a name
    fine       text     NOT NULL,  -- roles that see what it showed within a day, with spaces
    marked_ms  bigint   NOT NULL,
    marked_by  text     NOT NULL,
    PRIMARY KEY (site, meter)
);

-- What somebody said that they look at a dwelling for, and how often they did. The oldest go after two years.
CREATE TABLE look (
    id         uuid     PRIMARY KEY,
    site       uuid     NOT NULL REFERENCES site (id),
    meter      uuid     NOT NULL,
    person     uuid     NOT NULL,  -- who may be gone
    who        text     NOT NULL,
    purpose    text     NOT NULL,
    at_ms      bigint   NOT NULL,
    last_ms    bigint,
    looks      integer  NOT NULL,
    downloads  integer  NOT NULL
);
CREATE INDEX look_of_meter ON look (site, meter, person, at_ms);
CREATE INDEX look_by_time ON look (at_ms);
