-- The SQLite dialect of postgres/0007_spam.sql, where the comments are.

ALTER TABLE hit ADD COLUMN suspicion text
    CONSTRAINT suspicion_is_known CHECK (suspicion IN ('zero_value', 'look_alike', 'hostile_token'));

ALTER TABLE token ADD COLUMN hides boolean NOT NULL DEFAULT false;

CREATE TABLE known_party (
    watch_id text    NOT NULL,
    slot     integer NOT NULL,
    address  blob    NOT NULL,
    CONSTRAINT one_known_party_per_watch_and_slot PRIMARY KEY (watch_id, slot),
    CONSTRAINT known_parties_are_bounded CHECK (slot >= 0 AND slot < 4096),
    CONSTRAINT known_party_is_an_address CHECK (length(address) = 20)
);
