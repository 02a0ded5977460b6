-- The SQLite dialect of postgres/0001_spine.sql, where the comments are.
-- The spine: chains and their blocks, events, the outbox, recipients and watches, hits, notifications, deliveries.
-- Times are milliseconds since the Unix epoch by the store's clock; block timestamps are seconds, as on chain.
-- Constraints are named as the facts that they keep.

CREATE TABLE chain (
    chain_id         integer NOT NULL,
    name             text   NOT NULL,
    tip_number       integer,
    tip_hash         blob,
    head_number      integer,
    safe_number      integer,
    finalized_number integer,
    updated_at       integer NOT NULL,
    CONSTRAINT one_row_per_chain PRIMARY KEY (chain_id),
    CONSTRAINT one_chain_per_name UNIQUE (name),
    CONSTRAINT checkpoint_is_number_and_hash CHECK ((tip_number IS NULL) = (tip_hash IS NULL)),
    CONSTRAINT hash_is_32_bytes CHECK (length(tip_hash) = 32)
);

CREATE TABLE block (
    chain_id    integer  NOT NULL,
    number      integer  NOT NULL,
    hash        blob   NOT NULL,
    parent_hash blob   NOT NULL,
    "timestamp" integer  NOT NULL,
    canonical   boolean NOT NULL DEFAULT 1,
    CONSTRAINT one_row_per_block PRIMARY KEY (chain_id, number, hash)
);
CREATE UNIQUE INDEX one_canonical_block_per_height ON block (chain_id, number) WHERE canonical;

CREATE TABLE contract (
    id          integer PRIMARY KEY AUTOINCREMENT,
    chain_id    integer NOT NULL,
    name        text   NOT NULL,
    start_block integer NOT NULL,
    next_block  integer NOT NULL,
    live_from   integer NOT NULL,
    CONSTRAINT one_contract_per_name UNIQUE (chain_id, name),
    CONSTRAINT backfill_ends_where_live_begins CHECK (next_block <= live_from)
);

CREATE TABLE event_schema (
    id          integer PRIMARY KEY AUTOINCREMENT,
    declaration text  NOT NULL,
    schema      text NOT NULL,
    CONSTRAINT one_schema_per_declaration UNIQUE (declaration)
);

CREATE TABLE event (
    chain_id        integer   NOT NULL,
    block_number    integer   NOT NULL,
    log_index       integer   NOT NULL,
    block_hash      blob    NOT NULL,
    event_id        blob     NOT NULL,
    logical_id      blob     NOT NULL,
    block_timestamp integer   NOT NULL,
    tx_hash         blob    NOT NULL,
    tx_index        integer   NOT NULL,
    address         blob    NOT NULL,
    contract_id     integer  NOT NULL,
    schema_id       integer,
    params          text,
    raw_topics      blob,
    raw_data        blob,
    reason          text,
    origin          integer NOT NULL,
    canonical       boolean  NOT NULL DEFAULT 1,
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

CREATE TABLE unmatched (
    chain_id     integer NOT NULL,
    block_number integer NOT NULL,
    log_index    integer NOT NULL,
    block_hash   blob  NOT NULL,
    since        integer NOT NULL,
    version      integer NOT NULL,
    CONSTRAINT one_unmatched_row_per_event PRIMARY KEY (chain_id, block_number, log_index, block_hash)
);
CREATE INDEX unmatched_by_age ON unmatched (since);

CREATE TABLE outbox (
    id         integer PRIMARY KEY AUTOINCREMENT,
    lane       text   NOT NULL,
    message_id text   NOT NULL,
    subject    text   NOT NULL,
    replay     text,
    payload    text   NOT NULL,
    created_at integer NOT NULL,
    CONSTRAINT one_outbox_row_per_message UNIQUE (message_id)
);
CREATE INDEX outbox_in_lane_order ON outbox (lane, id);

CREATE TABLE lease (
    name    text   NOT NULL,
    owner   text   NOT NULL,
    expires integer NOT NULL,
    CONSTRAINT one_holder_per_lease PRIMARY KEY (name)
);

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

CREATE TABLE watch (
    id           text    NOT NULL,
    recipient_id text    NOT NULL,
    definition   text    NOT NULL,
    from_file    boolean NOT NULL,
    removed      boolean NOT NULL DEFAULT 0,
    revision     integer  NOT NULL,
    CONSTRAINT one_row_per_watch PRIMARY KEY (id)
);
CREATE INDEX watches_by_revision ON watch (revision);
CREATE INDEX watches_of_a_recipient ON watch (recipient_id);

CREATE TABLE counter (
    name  text   NOT NULL,
    value integer NOT NULL,
    CONSTRAINT one_value_per_counter PRIMARY KEY (name)
);
INSERT INTO counter (name, value) VALUES ('watch', 0);

CREATE TABLE hit (
    id              blob   NOT NULL,
    watch_id        text   NOT NULL,
    recipient_id    text   NOT NULL,
    logical_id      blob   NOT NULL,
    event_id        blob   NOT NULL,
    chain_id        integer NOT NULL,
    block_number    integer NOT NULL,
    log_index       integer NOT NULL,
    block_hash      blob  NOT NULL,
    deliver_at      text   NOT NULL,
    state           text   NOT NULL,
    reason          text,
    notification_id blob,
    due_hint        integer NOT NULL,
    created_at      integer NOT NULL,
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

CREATE TABLE notification (
    id           blob    NOT NULL,
    recipient_id text    NOT NULL,
    watch_id     text    NOT NULL,
    chain_id     integer  NOT NULL,
    kind         text    NOT NULL,
    title        text    NOT NULL,
    body         text    NOT NULL,
    count        integer  NOT NULL,
    window_from  integer,
    window_to    integer,
    facts        text    NOT NULL,
    events       text    NOT NULL,
    finality     text    NOT NULL,
    state        text    NOT NULL,
    revision     integer NOT NULL,
    corrects     blob,
    created_at   integer  NOT NULL,
    CONSTRAINT one_row_per_notification PRIMARY KEY (id),
    CONSTRAINT notification_state_is_known CHECK (state IN ('active', 'corrected', 'retracted')),
    CONSTRAINT window_has_both_ends CHECK ((window_from IS NULL) = (window_to IS NULL)),
    CONSTRAINT revision_is_positive CHECK (revision > 0)
);
CREATE INDEX notifications_of_a_recipient ON notification (recipient_id, created_at);
CREATE INDEX notifications_by_age ON notification (created_at);

CREATE TABLE delivery (
    id              blob    NOT NULL,
    notification_id blob    NOT NULL,
    revision        integer NOT NULL,
    recipient_id    text    NOT NULL,
    target          text    NOT NULL,
    channel         text    NOT NULL,
    state           text    NOT NULL,
    reason          text,
    attempts        integer NOT NULL DEFAULT 0,
    tries           integer NOT NULL DEFAULT 0,
    next_attempt_at integer  NOT NULL,
    lease_owner     text,
    lease_until     integer,
    created_at      integer  NOT NULL,
    finished_at     integer,
    CONSTRAINT one_row_per_delivery PRIMARY KEY (id),
    CONSTRAINT one_delivery_per_notification_revision_and_target UNIQUE (notification_id, revision, recipient_id, target),
    CONSTRAINT delivery_has_a_notification FOREIGN KEY (notification_id) REFERENCES notification (id),
    CONSTRAINT delivery_state_is_known CHECK (state IN ('queued', 'scheduled', 'delivered', 'dead', 'suppressed')),
    CONSTRAINT dead_or_suppressed_delivery_has_a_reason CHECK (state NOT IN ('dead', 'suppressed') OR reason IS NOT NULL),
    CONSTRAINT delivery_lease_has_owner_and_end CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
    CONSTRAINT finished_iff_not_open CHECK ((finished_at IS NULL) = (state IN ('queued', 'scheduled')))
);
CREATE INDEX open_deliveries_by_due_time ON delivery (next_attempt_at) WHERE state IN ('queued', 'scheduled');
CREATE INDEX dead_deliveries ON delivery (finished_at) WHERE state = 'dead';

CREATE TABLE attempt (
    delivery_id blob    NOT NULL,
    number      integer NOT NULL,
    started_at  integer  NOT NULL,
    finished_at integer  NOT NULL,
    outcome     text    NOT NULL,
    detail      text    NOT NULL,
    CONSTRAINT one_row_per_attempt PRIMARY KEY (delivery_id, number),
    CONSTRAINT attempt_has_a_delivery FOREIGN KEY (delivery_id) REFERENCES delivery (id) ON DELETE CASCADE,
    CONSTRAINT outcome_is_known CHECK (outcome IN ('delivered', 'retry', 'permanent'))
);

CREATE TABLE debounce_window (
    key         text   NOT NULL,
    generation  integer NOT NULL,
    opened      integer NOT NULL,
    due         integer NOT NULL,
    hard_due    integer NOT NULL,
    count       integer NOT NULL,
    claims      integer NOT NULL DEFAULT 0,
    lease_token text,
    lease_until integer,
    CONSTRAINT one_window_per_key_and_generation PRIMARY KEY (key, generation),
    CONSTRAINT window_lease_has_token_and_end CHECK ((lease_token IS NULL) = (lease_until IS NULL))
);
CREATE UNIQUE INDEX one_open_window_per_key ON debounce_window (key) WHERE claims = 0;
CREATE INDEX open_windows_by_due_time ON debounce_window (due) WHERE claims = 0;
CREATE INDEX claimed_windows_by_lease ON debounce_window (lease_until) WHERE claims > 0;

CREATE TABLE debounce_member (
    key        text   NOT NULL,
    generation integer NOT NULL,
    hit_id     blob   NOT NULL,
    CONSTRAINT one_membership_per_hit_and_generation PRIMARY KEY (key, generation, hit_id),
    CONSTRAINT member_has_a_window FOREIGN KEY (key, generation) REFERENCES debounce_window (key, generation) ON DELETE CASCADE
);

CREATE TABLE token (
    chain_id integer  NOT NULL,
    address  blob   NOT NULL,
    name     text,
    symbol   text,
    decimals integer,
    asked_at integer  NOT NULL,
    CONSTRAINT one_row_per_token PRIMARY KEY (chain_id, address),
    CONSTRAINT decimals_fit_256_bits CHECK (decimals BETWEEN 0 AND 77)
);
