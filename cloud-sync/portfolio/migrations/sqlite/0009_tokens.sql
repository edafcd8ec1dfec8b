-- What a program comes with is a session that knows what it is called and what it may; NULL for a browser's.
ALTER TABLE session ADD COLUMN token TEXT;
