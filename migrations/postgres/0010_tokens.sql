-- When a token that did not answer is asked again.

ALTER TABLE token
    ADD COLUMN misses integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT misses_are_counted_from_zero CHECK (misses >= 0);
COMMENT ON TABLE token IS 'What contracts said of themselves. A null is a question without a usable answer so far, and is asked again.';
COMMENT ON COLUMN token.asked_at IS 'When it was last asked.';
COMMENT ON COLUMN token.misses IS 'How often it was asked since it last answered everything: the pause before the next question grows with it.';
