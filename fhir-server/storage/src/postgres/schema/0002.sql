-- dates and codes beside the owner of their resource; a function of ix_exact and ix_date
CREATE TABLE ix_owner_date (
  pk int8 NOT NULL, hi int8 NOT NULL, lo int8 NOT NULL, param int4 NOT NULL, owner int4 NOT NULL, long int2 NOT NULL,
  via int2 NOT NULL
);
CREATE INDEX ix_owner_date_key ON ix_owner_date (param, owner, long, hi DESC, pk);
CREATE TABLE ix_owner_exact (
  pk int8 NOT NULL, param int4 NOT NULL, val int4 NOT NULL, owner int4 NOT NULL, via int2 NOT NULL
);
CREATE INDEX ix_owner_exact_key ON ix_owner_exact (param, val, owner, pk);
ALTER TABLE ix_owner_date SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE ix_owner_exact SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- by which parameters the rows of a type are made
CREATE TABLE owned (
  type int8 PRIMARY KEY,
  members int8 NOT NULL, patient int8 NOT NULL, subject int8 NOT NULL, date int8 NOT NULL, code int8 NOT NULL
);

-- a server of an older schema doesn't know what there is to write: its writes are refused from now on
CREATE FUNCTION only_newest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF coalesce(current_setting('fhir.schema', true), '1')::int4 < (SELECT schema FROM service) THEN
    RAISE EXCEPTION 'the database has been migrated to a newer schema: stop this server and use the newer one';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER only_newest BEFORE UPDATE ON service FOR EACH STATEMENT EXECUTE FUNCTION only_newest();
