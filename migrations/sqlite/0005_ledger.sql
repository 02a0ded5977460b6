-- The SQLite dialect of postgres/0005_ledger.sql, where the comments are.

CREATE TRIGGER hit_state_follows_the_ledger BEFORE UPDATE OF state ON hit FOR EACH ROW
    WHEN OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (VALUES
        ('waiting', 'pending'), ('waiting', 'notified'), ('waiting', 'orphaned'), ('waiting', 'suppressed'),
        ('pending', 'notified'), ('pending', 'orphaned'), ('pending', 'suppressed'), ('pending', 'dead'),
        ('orphaned', 'waiting'), ('orphaned', 'pending'))
BEGIN
    SELECT RAISE(ABORT, 'hit_state_follows_the_ledger: a hit does not go from its state to this one');
END;

CREATE TABLE watch_holding (
    watch_id    text    NOT NULL,
    revision    integer NOT NULL,
    fingerprint text    NOT NULL,
    from_block  integer NOT NULL,
    CONSTRAINT one_holding_per_watch PRIMARY KEY (watch_id)
);

ALTER TABLE target ADD COLUMN added_at integer;
UPDATE target SET added_at = CAST(unixepoch('subsec') * 1000 AS integer);
CREATE TRIGGER target_is_there_since_it_was_added AFTER INSERT ON target FOR EACH ROW WHEN NEW.added_at IS NULL
BEGIN
    UPDATE target SET added_at = CAST(unixepoch('subsec') * 1000 AS integer)
        WHERE recipient_id = NEW.recipient_id AND name = NEW.name;
END;
