-- The spine: chains and their blocks, events, the outbox, recipients and watches, hits, notifications, deliveries.
-- Times are milliseconds since the Unix epoch by the store's clock; block timestamps are seconds, as on chain.
-- Constraints are named as the facts that they keep.

CREATE TABLE chain (
    chain_id         bigint NOT NULL,
    name             text   NOT NULL,
    tip_number       bigint,
    tip_hash         bytea,
    head_number      bigint,
    safe_number      bigint,
    finalized_number bigint,
    updated_at       bigint NOT NULL,
    CONSTRAINT one_row_per_chain PRIMARY KEY (chain_id),
    CONSTRAINT one_chain_per_name UNIQUE (name),
    CONSTRAINT checkpoint_is_number_and_hash CHECK ((tip_number IS NULL) = (tip_hash IS NULL)),
    CONSTRAINT hash_is_32_bytes CHECK (octet_length(tip_hash) = 32)
);
COMMENT ON TABLE chain IS 'A followed chain and its checkpoint, which moves only in the transaction of its effects.';
COMMENT ON COLUMN chain.tip_hash IS 'The last block that we hold; also the fence: a writer must name the tip that it extends.';

CREATE TABLE block (
    chain_id    bigint  NOT NULL,
    number      bigint  NOT NULL,
    hash        bytea   NOT NULL,
    parent_hash bytea   NOT NULL,
    "timestamp" bigint  NOT NULL,
    canonical   boolean NOT NULL DEFAULT true,
    CONSTRAINT one_row_per_block PRIMARY KEY (chain_id, number, hash)
);
CREATE UNIQUE INDEX one_canonical_block_per_height ON block (chain_id, number) WHERE canonical;
COMMENT ON TABLE block IS 'Blocks read by hash near the head. Ones that left the chain stay, marked.';

CREATE TABLE contract (
    id          integer GENERATED ALWAYS AS IDENTITY,
    chain_id    bigint NOT NULL,
    name        text   NOT NULL,
    start_block bigint NOT NULL,
    next_block  bigint NOT NULL,
    live_from   bigint NOT NULL,
    CONSTRAINT one_row_per_contract PRIMARY KEY (id),
    CONSTRAINT one_contract_per_name UNIQUE (chain_id, name),
    CONSTRAINT backfill_ends_where_live_begins CHECK (next_block <= live_from)
);
COMMENT ON COLUMN contract.start_block IS 'The first block that is read for this contract, settled when it was first met.';
COMMENT ON COLUMN contract.next_block IS 'The next block of its past to read; equal to live_from when the past is read.';
COMMENT ON COLUMN contract.live_from IS 'The first block that was read live: the frontier up to which the past is read.';

CREATE TABLE event_schema (
    id          integer GENERATED ALWAYS AS IDENTITY,
    declaration text  NOT NULL,
    schema      jsonb NOT NULL,
    CONSTRAINT one_row_per_event_schema PRIMARY KEY (id),
    CONSTRAINT one_schema_per_declaration UNIQUE (declaration)
);
COMMENT ON TABLE event_schema IS 'The shapes of decoded events: jsonb does not keep the order of params, this does.';

CREATE TABLE event (
    chain_id        bigint   NOT NULL,
    block_number    bigint   NOT NULL,
    log_index       bigint   NOT NULL,
    block_hash      bytea    NOT NULL,
    event_id        uuid     NOT NULL,
    logical_id      uuid     NOT NULL,
    block_timestamp bigint   NOT NULL,
    tx_hash         bytea    NOT NULL,
    tx_index        bigint   NOT NULL,
    address         bytea    NOT NULL,
    contract_id     integer  NOT NULL,
    schema_id       integer,
    params          jsonb,
    raw_topics      bytea,
    raw_data        bytea,
    reason          text,
    origin          smallint NOT NULL,
    canonical       boolean  NOT NULL DEFAULT true,
    turn            integer  NOT NULL DEFAULT 1,
    CONSTRAINT one_event_per_block_and_log_index PRIMARY KEY (chain_id, block_number, log_index, block_hash),
    CONSTRAINT event_is_decoded_or_raw CHECK (
        (schema_id IS NOT NULL AND params IS NOT NULL AND reason IS NULL)
        OR (schema_id IS NULL AND params IS NULL AND raw_topics IS NOT NULL AND raw_data IS NOT NULL AND reason IS NOT NULL)
    ),
    CONSTRAINT origin_is_live_or_backfill CHECK (origin IN (0, 1)),
    CONSTRAINT turn_is_positive CHECK (turn > 0)
);
CREATE INDEX events_of_a_transaction ON event (tx_hash);
COMMENT ON COLUMN event.event_id IS 'UUIDv5 of chain id, block hash and log index.';
COMMENT ON COLUMN event.logical_id IS 'UUIDv5 of chain id, transaction, content and repeat: survives re-inclusion.';
COMMENT ON COLUMN event.raw_topics IS 'Topics of a log that no ABI fits, 32 bytes each, one after the other.';
COMMENT ON COLUMN event.turn IS 'How often the event entered the canonical chain: more than once after a reorg of a reorg.';

CREATE TABLE unmatched (
    chain_id     bigint NOT NULL,
    block_number bigint NOT NULL,
    log_index    bigint NOT NULL,
    block_hash   bytea  NOT NULL,
    since        bigint NOT NULL,
    version      integer NOT NULL,
    CONSTRAINT one_unmatched_row_per_event PRIMARY KEY (chain_id, block_number, log_index, block_hash)
);
CREATE INDEX unmatched_by_age ON unmatched (since);
COMMENT ON TABLE unmatched IS 'Events whose last change has not been matched. What the broker loses, matching finds here.';
COMMENT ON COLUMN unmatched.version IS 'Twice the event''s turn, plus one when it is orphaned: what matching saw when it deletes the row.';

CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    lane       text   NOT NULL,
    message_id text   NOT NULL,
    subject    text   NOT NULL,
    replay     text,
    payload    text   NOT NULL,
    created_at bigint NOT NULL,
    CONSTRAINT one_row_per_outbox_id PRIMARY KEY (id),
    CONSTRAINT one_outbox_row_per_message UNIQUE (message_id)
);
CREATE INDEX outbox_in_lane_order ON outbox (lane, id);
COMMENT ON TABLE outbox IS 'Messages that are committed and not yet acknowledged by the broker.';

CREATE TABLE lease (
    name    text   NOT NULL,
    owner   text   NOT NULL,
    expires bigint NOT NULL,
    CONSTRAINT one_holder_per_lease PRIMARY KEY (name)
);
COMMENT ON TABLE lease IS 'Who does a job that only one may do: a relay lane, a chain''s ingest.';

CREATE TABLE recipient (
    id        text    NOT NULL,
    locale    text    NOT NULL,
    timezone  text    NOT NULL,
    from_file boolean NOT NULL,
    CONSTRAINT one_row_per_recipient PRIMARY KEY (id)
);

CREATE TABLE target (
    recipient_id text    NOT NULL,
    name         text    NOT NULL,
    url          text    NOT NULL,
    secrets      text    NOT NULL,
    from_file    boolean NOT NULL,
    CONSTRAINT one_target_per_recipient_and_name PRIMARY KEY (recipient_id, name),
    CONSTRAINT target_has_a_recipient FOREIGN KEY (recipient_id) REFERENCES recipient (id) ON DELETE CASCADE
);
COMMENT ON COLUMN target.secrets IS 'Signing secrets as a JSON array, newest first.';

CREATE TABLE watch (
    id           text    NOT NULL,
    recipient_id text    NOT NULL,
    definition   text    NOT NULL,
    from_file    boolean NOT NULL,
    removed      boolean NOT NULL DEFAULT false,
    revision     bigint  NOT NULL,
    CONSTRAINT one_row_per_watch PRIMARY KEY (id)
);
CREATE INDEX watches_by_revision ON watch (revision);
CREATE INDEX watches_of_a_recipient ON watch (recipient_id);
COMMENT ON COLUMN watch.definition IS 'The watch as JSON.';
COMMENT ON COLUMN watch.removed IS 'A removed watch stays: hits refer to it, and matching learns of the removal by its revision.';

CREATE TABLE counter (
    name  text   NOT NULL,
    value bigint NOT NULL,
    CONSTRAINT one_value_per_counter PRIMARY KEY (name)
);
INSERT INTO counter (name, value) VALUES ('watch', 0);

CREATE TABLE hit (
    id              uuid   NOT NULL,
    watch_id        text   NOT NULL,
    recipient_id    text   NOT NULL,
    logical_id      uuid   NOT NULL,
    event_id        uuid   NOT NULL,
    chain_id        bigint NOT NULL,
    block_number    bigint NOT NULL,
    log_index       bigint NOT NULL,
    block_hash      bytea  NOT NULL,
    deliver_at      text   NOT NULL,
    state           text   NOT NULL,
    reason          text,
    notification_id uuid,
    due_hint        bigint NOT NULL,
    created_at      bigint NOT NULL,
    CONSTRAINT one_row_per_hit PRIMARY KEY (id),
    CONSTRAINT one_hit_per_event_and_watch UNIQUE (logical_id, watch_id),
    CONSTRAINT hit_state_is_known CHECK (state IN ('waiting', 'pending', 'notified', 'orphaned', 'suppressed', 'dead')),
    CONSTRAINT notified_hit_has_a_notification CHECK ((state = 'notified') = (notification_id IS NOT NULL)),
    CONSTRAINT suppressed_or_dead_hit_has_a_reason CHECK (state NOT IN ('suppressed', 'dead') OR reason IS NOT NULL)
);
CREATE INDEX pending_hits_by_due_hint ON hit (due_hint) WHERE state = 'pending';
CREATE INDEX waiting_hits_by_block ON hit (chain_id, block_number) WHERE state = 'waiting';
CREATE INDEX open_hits_of_a_chain ON hit (chain_id, block_number) WHERE state IN ('waiting', 'pending');
CREATE INDEX hits_of_an_event ON hit (event_id);
CREATE INDEX hits_of_a_notification ON hit (notification_id) WHERE notification_id IS NOT NULL;
COMMENT ON COLUMN hit.due_hint IS 'The latest moment at which the hit''s window should have closed; the sweep looks at it.';

CREATE TABLE notification (
    id           uuid    NOT NULL,
    recipient_id text    NOT NULL,
    watch_id     text    NOT NULL,
    chain_id     bigint  NOT NULL,
    kind         text    NOT NULL,
    title        text    NOT NULL,
    body         text    NOT NULL,
    count        bigint  NOT NULL,
    window_from  bigint,
    window_to    bigint,
    facts        text    NOT NULL,
    events       text    NOT NULL,
    finality     text    NOT NULL,
    state        text    NOT NULL,
    revision     integer NOT NULL,
    corrects     uuid,
    created_at   bigint  NOT NULL,
    CONSTRAINT one_row_per_notification PRIMARY KEY (id),
    CONSTRAINT notification_state_is_known CHECK (state IN ('active', 'corrected', 'retracted')),
    CONSTRAINT window_has_both_ends CHECK ((window_from IS NULL) = (window_to IS NULL)),
    CONSTRAINT revision_is_positive CHECK (revision > 0)
);
CREATE INDEX notifications_of_a_recipient ON notification (recipient_id, created_at);
CREATE INDEX notifications_by_age ON notification (created_at);
COMMENT ON COLUMN notification.facts IS 'JSON. Text, so that the order of its keys and its integers stay exact.';

CREATE TABLE delivery (
    id              uuid    NOT NULL,
    notification_id uuid    NOT NULL,
    revision        integer NOT NULL,
    recipient_id    text    NOT NULL,
    target          text    NOT NULL,
    channel         text    NOT NULL,
    state           text    NOT NULL,
    reason          text,
    attempts        integer NOT NULL DEFAULT 0,
    tries           integer NOT NULL DEFAULT 0,
    next_attempt_at bigint  NOT NULL,
    lease_owner     text,
    lease_until     bigint,
    created_at      bigint  NOT NULL,
    finished_at     bigint,
    CONSTRAINT one_row_per_delivery PRIMARY KEY (id),
    CONSTRAINT one_delivery_per_notification_revision_and_target UNIQUE (notification_id, revision, recipient_id, target),
    CONSTRAINT delivery_has_a_notification FOREIGN KEY (notification_id) REFERENCES notification (id),
    CONSTRAINT delivery_state_is_known CHECK (state IN ('queued', 'scheduled', 'delivered', 'dead', 'suppressed')),
    CONSTRAINT dead_or_suppressed_delivery_has_a_reason CHECK (state NOT IN ('dead', 'suppressed') OR reason IS NOT NULL),
    CONSTRAINT delivery_lease_has_owner_and_end CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
    CONSTRAINT finished_iff_not_open CHECK ((finished_at IS NULL) = (state IN ('queued', 'scheduled')))
);
COMMENT ON COLUMN delivery.tries IS 'Tries since it was queued: where it is in the retry schedule. Attempts are never forgotten, this starts anew.';
CREATE INDEX open_deliveries_by_due_time ON delivery (next_attempt_at) WHERE state IN ('queued', 'scheduled');
CREATE INDEX dead_deliveries ON delivery (finished_at) WHERE state = 'dead';

CREATE TABLE attempt (
    delivery_id uuid    NOT NULL,
    number      integer NOT NULL,
    started_at  bigint  NOT NULL,
    finished_at bigint  NOT NULL,
    outcome     text    NOT NULL,
    detail      text    NOT NULL,
    CONSTRAINT one_row_per_attempt PRIMARY KEY (delivery_id, number),
    CONSTRAINT attempt_has_a_delivery FOREIGN KEY (delivery_id) REFERENCES delivery (id) ON DELETE CASCADE,
    CONSTRAINT outcome_is_known CHECK (outcome IN ('delivered', 'retry', 'permanent'))
);

CREATE TABLE debounce_window (
    key         text   NOT NULL,
    generation  bigint NOT NULL,
    opened      bigint NOT NULL,
    due         bigint NOT NULL,
    hard_due    bigint NOT NULL,
    count       bigint NOT NULL,
    claims      integer NOT NULL DEFAULT 0,
    lease_token text,
    lease_until bigint,
    CONSTRAINT one_window_per_key_and_generation PRIMARY KEY (key, generation),
    CONSTRAINT window_lease_has_token_and_end CHECK ((lease_token IS NULL) = (lease_until IS NULL))
);
CREATE UNIQUE INDEX one_open_window_per_key ON debounce_window (key) WHERE claims = 0;
CREATE INDEX open_windows_by_due_time ON debounce_window (due) WHERE claims = 0;
CREATE INDEX claimed_windows_by_lease ON debounce_window (lease_until) WHERE claims > 0;
COMMENT ON TABLE debounce_window IS 'The timer index of digests, where no Redis keeps it. A claim closes a generation.';

CREATE TABLE debounce_member (
    key        text   NOT NULL,
    generation bigint NOT NULL,
    hit_id     uuid   NOT NULL,
    CONSTRAINT one_membership_per_hit_and_generation PRIMARY KEY (key, generation, hit_id),
    CONSTRAINT member_has_a_window FOREIGN KEY (key, generation) REFERENCES debounce_window (key, generation) ON DELETE CASCADE
);

CREATE TABLE token (
    chain_id bigint  NOT NULL,
    address  bytea   NOT NULL,
    name     text,
    symbol   text,
    decimals integer,
    asked_at bigint  NOT NULL,
    CONSTRAINT one_row_per_token PRIMARY KEY (chain_id, address),
    CONSTRAINT decimals_fit_256_bits CHECK (decimals BETWEEN 0 AND 77)
);
COMMENT ON TABLE token IS 'What contracts said of themselves. Asked once; a null is a question without a usable answer.';
