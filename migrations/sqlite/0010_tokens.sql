-- The SQLite dialect of postgres/0010_tokens.sql, where the comments are.

ALTER TABLE token ADD COLUMN misses integer NOT NULL DEFAULT 0
    CONSTRAINT misses_are_counted_from_zero CHECK (misses >= 0);
