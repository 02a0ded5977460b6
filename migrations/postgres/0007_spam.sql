-- What looks like spam, and whom a watch knows.

ALTER TABLE hit
    ADD COLUMN suspicion text,
    ADD CONSTRAINT suspicion_is_known CHECK (suspicion IN ('zero_value', 'look_alike', 'hostile_token'));
COMMENT ON COLUMN hit.suspicion IS 'Why it looks like spam.';

ALTER TABLE token ADD COLUMN hides boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN token.hides IS 'Whether its name or symbol had characters that no reader sees.';

CREATE TABLE known_party (
    watch_id text    NOT NULL,
    slot     integer NOT NULL,
    address  bytea   NOT NULL,
    CONSTRAINT one_known_party_per_watch_and_slot PRIMARY KEY (watch_id, slot),
    CONSTRAINT known_parties_are_bounded CHECK (slot >= 0 AND slot < 4096),
    CONSTRAINT known_party_is_an_address CHECK (octet_length(address) = 20)
);
COMMENT ON TABLE known_party IS 'Counterparties of transfers that a watch told of: another address that looks like one of them is suspected.';
COMMENT ON COLUMN known_party.slot IS 'Made of the first and last two bytes, so that addresses which look alike share it.';
