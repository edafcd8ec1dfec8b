-- Documents that stand behind entries of the ledger, which names them by their hash. An entry says
-- what a document is called; here are its bytes alone, each once.
CREATE TABLE proof (
    sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    at_ms  INTEGER NOT NULL,
    bytes  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
