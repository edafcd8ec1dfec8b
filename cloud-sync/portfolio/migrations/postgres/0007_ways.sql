-- How a person gets in beside the password: an app's codes, and codes that stand in for it. The secret of
-- the app has to be kept as it is, for its codes are made of it.
ALTER TABLE person ADD COLUMN ways text NOT NULL DEFAULT '{}';
-- The secret of an app that has not shown a code yet.
ALTER TABLE person ADD COLUMN begun text;
