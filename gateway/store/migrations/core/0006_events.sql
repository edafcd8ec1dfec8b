-- What happened on the gateway, and until when: alarms, outages of the cloud, changes of the
-- configuration. Open alarms have no end.
CREATE TABLE event (
    number   INTEGER PRIMARY KEY,
    from_ms  INTEGER NOT NULL,
    until_ms INTEGER CHECK (until_ms >= from_ms),
    code     TEXT    NOT NULL,
    subject  TEXT    NOT NULL,  -- the id of a meter or a bus, a month; empty for the gateway itself
    params   TEXT    NOT NULL,  -- what its sentence needs, in the caller's own form
    UNIQUE (code, subject, from_ms)
) STRICT;
CREATE INDEX event_open ON event (code, subject) WHERE until_ms IS NULL;
