-- The SQLite dialect of postgres/0012_due_noted.sql, where the comments are.

ALTER TABLE hit ADD COLUMN due_noted_at integer;
