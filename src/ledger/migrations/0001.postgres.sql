-- By this it is told from a table that another program calls `meta`; dumps keep it.
COMMENT ON TABLE meta IS 'ledger of rollctl';

CREATE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only';
END
$$;

CREATE TRIGGER events_are_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_append_only();

-- Whoever waits for news need not ask all the time: `LISTEN rollctl_events`, `LISTEN rollctl_requests`.
CREATE FUNCTION tell_of_news() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rollctl_' || TG_TABLE_NAME, service) FROM (SELECT DISTINCT service FROM news) AS services;
    RETURN NULL;
END
$$;

CREATE TRIGGER events_are_told AFTER INSERT ON events
    REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION tell_of_news();
CREATE TRIGGER requests_are_told AFTER INSERT ON requests
    REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION tell_of_news();
CREATE TRIGGER answers_are_told AFTER UPDATE ON requests
    REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION tell_of_news();
