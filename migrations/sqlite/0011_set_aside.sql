-- The SQLite dialect of postgres/0011_set_aside.sql, where the comments are.

ALTER TABLE lease ADD COLUMN since integer;
ALTER TABLE delivery ADD COLUMN noted_at integer;

CREATE TABLE set_aside (
    room     text    NOT NULL,
    item     text    NOT NULL,
    reason   text    NOT NULL,
    tries    integer NOT NULL,
    since    integer NOT NULL,
    noted_at integer NOT NULL,
    next_try integer NOT NULL,
    CONSTRAINT one_row_per_room_and_item_set_aside PRIMARY KEY (room, item),
    CONSTRAINT item_set_aside_was_tried CHECK (tries > 0)
);
