-- The versions of the configuration and the audit log are chained: each row has the hash before it, and
-- its own over that and all its columns. What was there before is chained by the program as it does this.
ALTER TABLE version ADD COLUMN before BLOB NOT NULL DEFAULT x'';
ALTER TABLE version ADD COLUMN hash BLOB NOT NULL DEFAULT x'';
ALTER TABLE version ADD COLUMN signature BLOB;  -- NULL: older than signatures
ALTER TABLE audit ADD COLUMN before BLOB NOT NULL DEFAULT x'';
ALTER TABLE audit ADD COLUMN hash BLOB NOT NULL DEFAULT x'';

-- The newest row of both, as the device signed them last.
CREATE TABLE head (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    at_ms     INTEGER NOT NULL,
    audit     INTEGER NOT NULL,  -- the number of the entry; 0: there was none
    version   INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    signature BLOB    NOT NULL
) STRICT;
