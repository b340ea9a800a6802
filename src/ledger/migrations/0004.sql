-- Services that somebody held, so that runs which nobody watches leave them alone; at most one hold of a service stands
-- (`lifted_at` is null). Those that were lifted stay, for `history`.

CREATE TABLE holds (
    id BIGINT NOT NULL PRIMARY KEY,
    service TEXT NOT NULL,
    "by" TEXT NOT NULL,
    "at" BIGINT NOT NULL,
    cause TEXT,
    lifted_by TEXT,
    lifted_at BIGINT,
    lifted_cause TEXT
);
CREATE UNIQUE INDEX holds_that_stand ON holds (service) WHERE lifted_at IS NULL;
CREATE INDEX holds_of_service ON holds (service, id);
