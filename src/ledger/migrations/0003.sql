-- Who signed a revision's artifacts when it was last released, as JSON; null: no signature was asked for.

ALTER TABLE revisions ADD COLUMN signers TEXT;
