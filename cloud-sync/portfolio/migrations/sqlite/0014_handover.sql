-- A gateway that went to another owner: the building that it left keeps what is its owner's, under a gateway
-- without a certificate; the building that it came to begins with what was given along. 1: all readings.
ALTER TABLE site ADD COLUMN released_ms INTEGER;
ALTER TABLE site ADD COLUMN released_by TEXT;
ALTER TABLE site ADD COLUMN released_all INTEGER;
ALTER TABLE site ADD COLUMN taken_ms INTEGER;
ALTER TABLE site ADD COLUMN taken_all INTEGER;
-- Since when it has its owner. So many entries of its books, the gateway's and the vendor's, are from before,
-- and not shown; readings from before `from_ms` are not kept.
ALTER TABLE gateway ADD COLUMN taken_ms INTEGER;
ALTER TABLE gateway ADD COLUMN books_from INTEGER;
ALTER TABLE gateway ADD COLUMN vendor_from INTEGER;
ALTER TABLE gateway ADD COLUMN from_ms INTEGER;
