-- Who is on call. Days and times are those of the site's time zone.

-- A group has an order: the first is told first, the next when nobody answers.
CREATE TABLE roster_group (
    name     TEXT    NOT NULL,
    position INTEGER NOT NULL,
    doctor   TEXT    NOT NULL, -- name in the configuration
    PRIMARY KEY (name, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE roster_duty (
    id          INTEGER NOT NULL PRIMARY KEY,
    who         TEXT    NOT NULL, -- a doctor of the configuration or a group
    days        INTEGER CHECK (days BETWEEN 1 AND 127), -- 1 Monday, 64 Sunday; null for a single duty
    from_minute INTEGER,          -- of the day
    to_minute   INTEGER,          -- of the day; of the next one where it is not later
    first_date  TEXT,             -- 2026-03-14
    last_date   TEXT,
    from_time   TEXT,             -- a single duty: 2026-12-31T17:00:00
    to_time     TEXT,
    CHECK ((days IS NULL) = (from_time IS NOT NULL) AND (from_time IS NULL) = (to_time IS NULL)
       AND (days IS NULL) = (from_minute IS NULL) AND (from_minute IS NULL) = (to_minute IS NULL))
) STRICT;
