-- Windows: what they gather for beyond a watch, what made a hit wait longer, and how often a person is told.

ALTER TABLE hit
    ADD COLUMN group_key text NOT NULL DEFAULT '',
    ADD COLUMN held      text,
    ADD CONSTRAINT group_key_is_short CHECK (octet_length(group_key) <= 250),
    ADD CONSTRAINT reason_to_hold_a_hit_is_known CHECK (held IN ('quiet_hours', 'budget'));
COMMENT ON COLUMN hit.group_key IS 'The values that its window gathers for; empty where its watch has no group_by.';
COMMENT ON COLUMN hit.held IS 'Why it waited, or waits, longer than its watch asks for.';

ALTER TABLE recipient
    ADD COLUMN quiet_hours text,
    ADD COLUMN at_most     text;

CREATE TABLE window_lead (
    window_key text   NOT NULL,
    leader     uuid   NOT NULL,
    opened     bigint NOT NULL,
    closes     bigint NOT NULL,
    until      bigint NOT NULL,
    CONSTRAINT one_leader_per_window PRIMARY KEY (window_key)
);
CREATE INDEX leads_by_their_end ON window_lead (until);
COMMENT ON TABLE window_lead IS 'Which hit of a leading digest was told at once, and until when others are gathered.';
COMMENT ON COLUMN window_lead.closes IS 'When the window closes that gathers what follows.';
COMMENT ON COLUMN window_lead.until IS 'From then on, if nothing more came, the next hit is told at once again; the row is not needed any more.';

CREATE TABLE attention (
    recipient_id text   NOT NULL,
    period       bigint NOT NULL,
    spent        bigint NOT NULL,
    CONSTRAINT one_budget_per_recipient PRIMARY KEY (recipient_id),
    CONSTRAINT spent_is_not_negative CHECK (spent >= 0)
);
COMMENT ON TABLE attention IS 'How many notifications a recipient with a budget got in the newest period that was looked at.';
COMMENT ON COLUMN attention.period IS 'When the period began.';

CREATE TABLE window_held (
    window_key   text   NOT NULL,
    recipient_id text   NOT NULL,
    since        bigint NOT NULL,
    due          bigint NOT NULL,
    CONSTRAINT one_row_per_held_window PRIMARY KEY (window_key)
);
CREATE INDEX held_windows_of_a_recipient ON window_held (recipient_id, since);
CREATE INDEX held_windows_by_due_time ON window_held (due);
COMMENT ON TABLE window_held IS 'Windows that a spent budget held back: the longest waiting goes first when there is a budget again.';
