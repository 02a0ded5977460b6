-- When a hit's due time was last written, so that one that was written under a clock that was ahead is found out, however old
-- the hit is.

ALTER TABLE hit ADD COLUMN due_noted_at bigint;

COMMENT ON COLUMN hit.due_noted_at IS 'When due_hint was last written: what is left of a wait is never longer than the wait.';
