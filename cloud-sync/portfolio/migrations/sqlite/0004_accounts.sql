-- What was expected of each meter on each of the building's days, what came, and why the rest did not, by the
-- gateway's word. A row is replaced by one that was added up later.
CREATE TABLE account (
    gateway      INTEGER NOT NULL,
    meter        BLOB    NOT NULL,
    starts_ms    INTEGER NOT NULL,
    ends_ms      INTEGER NOT NULL,
    epoch_no     INTEGER NOT NULL,
    head         INTEGER NOT NULL,  -- the highest number that the gateway had given by then
    expected     INTEGER NOT NULL,
    received     INTEGER NOT NULL,
    late         INTEGER NOT NULL,
    from_memory  INTEGER NOT NULL,
    corrected    INTEGER NOT NULL,
    unplanned    INTEGER NOT NULL,
    missing      TEXT    NOT NULL,  -- `silent 4 power_off 2`
    PRIMARY KEY (gateway, meter, starts_ms)
) STRICT, WITHOUT ROWID;
