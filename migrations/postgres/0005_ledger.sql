-- The ledger of hits: which state may follow which, and what its audit needs to know of the past.

CREATE FUNCTION hit_state_follows_the_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a hit does not go from % to %', OLD.state, NEW.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'hit_state_follows_the_ledger', TABLE = 'hit';
END
$$;
-- The edges are the condition, so that an allowed step costs a comparison and no call. They are those of `HitState::may_become`.
CREATE TRIGGER hit_state_follows_the_ledger BEFORE UPDATE OF state ON hit FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
        ('waiting', 'pending'), ('waiting', 'notified'), ('waiting', 'orphaned'), ('waiting', 'suppressed'),
        ('pending', 'notified'), ('pending', 'orphaned'), ('pending', 'suppressed'), ('pending', 'dead'),
        ('orphaned', 'waiting'), ('orphaned', 'pending')))
    EXECUTE FUNCTION hit_state_follows_the_ledger();

CREATE TABLE watch_holding (
    watch_id    text   NOT NULL,
    revision    bigint NOT NULL,
    fingerprint text   NOT NULL,
    from_block  bigint NOT NULL,
    CONSTRAINT one_holding_per_watch PRIMARY KEY (watch_id)
);
COMMENT ON TABLE watch_holding IS 'From which block on every event was surely matched with a watch as it is now.';
COMMENT ON COLUMN watch_holding.revision IS 'The watch''s revision that it is said of; of another one nothing is known.';
COMMENT ON COLUMN watch_holding.fingerprint IS 'The contract''s fingerprint that it is said of.';

ALTER TABLE target ADD COLUMN added_at bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
COMMENT ON COLUMN target.added_at IS 'Since when it is there: what was told before owes it nothing.';
