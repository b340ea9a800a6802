-- What the controller answered to a request: `taken`, or `refused` for a reason. All three are null while it is open.

ALTER TABLE requests RENAME COLUMN taken_at TO answered_at;
ALTER TABLE requests ADD COLUMN answer TEXT CHECK (answer IN ('taken', 'refused'));
ALTER TABLE requests ADD COLUMN reason TEXT;
