-- SHA-256 of the newest authority that the gateway learned with this certificate: so that it is known
-- when all of them know the one that will sign next.
ALTER TABLE certificate ADD COLUMN told bytea;
