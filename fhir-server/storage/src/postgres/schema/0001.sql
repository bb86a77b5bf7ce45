-- README.md explains every table; sqlite/schema/0001.sql has the same ones.
CREATE TABLE service (
  one int2 PRIMARY KEY CHECK (one = 1),
  schema int4 NOT NULL,
  fhir_version text NOT NULL,
  clock int8 NOT NULL,             -- lastUpdated of the newest version, µs
  next_pk int8 NOT NULL,
  generation int8 NOT NULL,        -- goes up with each change of `definition`
  next_definition int8 NOT NULL    -- the next number of one
) WITH (fillfactor = 10);

CREATE TABLE type (id int2 PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE);

-- one compiled definition each; a changed definition gets a new row
CREATE TABLE param (
  id int4 PRIMARY KEY,
  base text COLLATE "C" NOT NULL,
  code text COLLATE "C" NOT NULL,
  expression text COLLATE "C" NOT NULL,
  revision int8 NOT NULL
);

-- the current version of each logical id; body NULL: deleted
CREATE TABLE res (
  pk int8 PRIMARY KEY,
  upd int8 NOT NULL,
  ver int4 NOT NULL,
  type int2 NOT NULL,
  kind int2 NOT NULL,
  dict int2 NOT NULL,
  id text COLLATE "C" NOT NULL,
  body bytea
);
-- compressed already
ALTER TABLE res ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX res_id ON res (type, id);
CREATE INDEX res_live ON res (type, pk) WHERE body IS NOT NULL;
CREATE INDEX res_type_upd ON res (type, upd);
CREATE INDEX res_upd ON res (upd);

-- superseded versions
CREATE TABLE hist (
  pk int8 NOT NULL,
  upd int8 NOT NULL,
  ver int4 NOT NULL,
  type int2 NOT NULL,
  kind int2 NOT NULL,
  dict int2 NOT NULL,
  body bytea,
  PRIMARY KEY (pk, ver)
);
ALTER TABLE hist ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX hist_type_upd ON hist (type, upd);
CREATE INDEX hist_upd ON hist (upd);

-- each text once, so that keys are small, exact, and can be sorted by their text
CREATE TABLE val (id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text COLLATE "C" NOT NULL);
CREATE UNIQUE INDEX val_text ON val (text);

-- An index by value holds what a search needs, in the order of pk. An index by pk holds the pk alone: all rows of a
-- resource lie beside each other, and equal keys are stored once.
CREATE TABLE ix_exact (pk int8 NOT NULL, param int4 NOT NULL, val int4 NOT NULL, elem int4 NOT NULL);
CREATE INDEX ix_exact_key ON ix_exact (param, val, pk);
CREATE INDEX ix_exact_pk ON ix_exact (pk);

-- `long`: longer than a day
CREATE TABLE ix_date (
  pk int8 NOT NULL, lo int8 NOT NULL, hi int8 NOT NULL, param int4 NOT NULL, long int2 NOT NULL, elem int4 NOT NULL
);
CREATE INDEX ix_date_key ON ix_date (param, long, lo, hi, pk);
CREATE INDEX ix_date_pk ON ix_date (pk);

-- order-preserving decimals; `system` and `code` are numbers of `val`, 0: none
CREATE TABLE ix_number (
  pk int8 NOT NULL, param int4 NOT NULL, system int4 NOT NULL, code int4 NOT NULL, elem int4 NOT NULL,
  lo bytea NOT NULL, hi bytea NOT NULL
);
CREATE INDEX ix_number_key ON ix_number (param, lo, hi, pk);
CREATE INDEX ix_number_pk ON ix_number (pk);

-- `exact` is empty where it is as folded; the index has the beginning of a string, see `Dialect`
CREATE TABLE ix_string (
  pk int8 NOT NULL, param int4 NOT NULL, elem int4 NOT NULL,
  folded text COLLATE "C" NOT NULL, exact text COLLATE "C" NOT NULL
);
CREATE INDEX ix_string_key ON ix_string (param, left(folded, 200), pk);
CREATE INDEX ix_string_pk ON ix_string (pk);

CREATE TABLE ix_place (pk int8 NOT NULL, latitude float8 NOT NULL, longitude float8 NOT NULL, param int4 NOT NULL);
CREATE INDEX ix_place_key ON ix_place (param, latitude, longitude, pk);
CREATE INDEX ix_place_pk ON ix_place (pk);

-- metres along the surface of a sphere, as `fhir_search::near` computes them
CREATE FUNCTION distance(float8, float8, float8, float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT 2 * 6371008.8 * asin(sqrt(least(1, greatest(0,
    sin(radians($3 - $1) / 2) ^ 2 + cos(radians($1)) * cos(radians($3)) * sin(radians($4 - $2) / 2) ^ 2))))
$$;

-- search parameters that aren't FHIR's, one row for each base type; a number is never given to another definition
CREATE TABLE definition (
  number int8 PRIMARY KEY,
  owner text COLLATE "C" NOT NULL, -- id of the SearchParameter
  content text NOT NULL,           -- what it says, JSON
  state int8 NOT NULL              -- 0: being filled, 1: ready, 2: retired, its rows are being removed
);

-- background work
CREATE TABLE job (
  id text COLLATE "C" PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  status int8 NOT NULL,            -- 0 queued, 1 running, 2 completed, 3 failed, 4 cancelled
  input text NOT NULL,
  position text NOT NULL DEFAULT '',
  done int8 NOT NULL DEFAULT 0,
  total int8 NOT NULL DEFAULT 0,
  problem text NOT NULL DEFAULT '',
  queued int8 NOT NULL,            -- µs, as all times
  due int8 NOT NULL,               -- not to be begun before
  started int8,
  ended int8,
  modified int8 NOT NULL,
  owner text,                      -- who works at it
  leased int8                      -- until then it is theirs
);
CREATE INDEX job_open ON job (kind, queued) WHERE status < 2;

-- keys that seal continuation tokens; a number is never given again
CREATE TABLE page_key (id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, made int8 NOT NULL, secret bytea NOT NULL);

-- queries that links name instead of repeating them
CREATE TABLE kept_query (
  name text COLLATE "C" PRIMARY KEY,
  owner text NOT NULL,
  text text NOT NULL,
  until int8 NOT NULL              -- µs
);
CREATE INDEX kept_query_until ON kept_query (until);

-- visible for index-only scans, and counted, soon after a load
ALTER TABLE ix_exact SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE ix_date SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE ix_number SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE ix_string SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
