-- Whether somebody wants to keep a revision, however many come after it.

ALTER TABLE revisions ADD COLUMN kept BIGINT NOT NULL DEFAULT 0 CHECK (kept IN (0, 1));
