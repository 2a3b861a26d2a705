-- Tells every weir at once that rows have changed; without it weir looks every `poll`.
CREATE FUNCTION weir_tell_backends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY weir_backends;
    RETURN NULL;
END
$$;

CREATE TRIGGER weir_tell_backends
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON workers
FOR EACH STATEMENT EXECUTE FUNCTION weir_tell_backends();
