-- The first schema, for every database: BIGINT and TEXT only, times in milliseconds since 1970, JSON as text.
-- What one database alone understands stands in `0001.<database>.sql`.

CREATE TABLE meta (
    only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
    schema_version BIGINT NOT NULL,
    ledger TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE revisions (
    service TEXT NOT NULL,
    number BIGINT NOT NULL CHECK (number > 0),
    digest TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    cause TEXT,
    adopted TEXT,
    PRIMARY KEY (service, number),
    UNIQUE (service, digest)
);

-- `position` is the order in which the names were given; the first is the folder on the hosts.
CREATE TABLE revision_names (
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    number BIGINT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (service, name),
    UNIQUE (service, number, position),
    FOREIGN KEY (service, number) REFERENCES revisions (service, number)
);

-- What `history` lists; it follows from the events. `epoch` is the lease under which the last event was written.
CREATE TABLE rollouts (
    id BIGINT NOT NULL PRIMARY KEY,
    service TEXT NOT NULL,
    kind TEXT NOT NULL,
    "from" TEXT,
    "to" TEXT NOT NULL,
    outcome TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    "by" TEXT NOT NULL,
    partial BIGINT NOT NULL CHECK (partial IN (0, 1)),
    epoch BIGINT NOT NULL
);
CREATE INDEX rollouts_of_service ON rollouts (service, id);

-- Append-only. `id` is the order in which all events of the ledger were written; `seq` the order in a rollout.
CREATE TABLE events (
    id BIGINT NOT NULL PRIMARY KEY,
    service TEXT NOT NULL,
    rollout BIGINT NOT NULL REFERENCES rollouts (id),
    seq BIGINT NOT NULL CHECK (seq > 0),
    "at" BIGINT NOT NULL,
    kind TEXT NOT NULL,
    host TEXT,
    body TEXT NOT NULL,
    hash TEXT NOT NULL,
    UNIQUE (rollout, seq)
);
CREATE INDEX events_of_service ON events (service, id);

CREATE TABLE instances (
    service TEXT NOT NULL,
    host TEXT NOT NULL,
    digest TEXT,
    state TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (service, host)
);

-- What other commands ask of the controller, which takes them and turns them into events.
CREATE TABLE requests (
    id BIGINT NOT NULL PRIMARY KEY,
    service TEXT NOT NULL,
    kind TEXT NOT NULL,
    "by" TEXT NOT NULL,
    "at" BIGINT NOT NULL,
    taken_at BIGINT
);
CREATE INDEX requests_of_service ON requests (service, id);

-- A row stays when its lease is given back (the holder's columns become null), so that the epoch only grows.
CREATE TABLE leases (
    service TEXT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    "by" TEXT,
    machine TEXT,
    pid BIGINT,
    boot TEXT,
    acquired_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
