-- The spool holds some hours, which are looked through as they are. An index was a page more to write
-- with every commit.
DROP INDEX spool_by_time;
