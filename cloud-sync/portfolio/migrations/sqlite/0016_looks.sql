-- When it was said last: who says the same within the hour is on record once.
ALTER TABLE look ADD COLUMN said_ms INTEGER NOT NULL DEFAULT 0;
UPDATE look SET said_ms = at_ms;
DROP INDEX look_of_meter;
CREATE INDEX look_of_meter ON look (site, meter, person, said_ms);
CREATE INDEX look_of_site ON look (site, at_ms, id);
