-- What a counter rose in each hour of a folded day; NULL where the content has to be asked.
ALTER TABLE folded ADD COLUMN hours bytea;
-- What a building is compared by. The meters that count for all of it: ids with a space between;
-- NULL while nobody has said.
ALTER TABLE site ADD COLUMN area_m2 integer;
ALTER TABLE site ADD COLUMN counted text;
