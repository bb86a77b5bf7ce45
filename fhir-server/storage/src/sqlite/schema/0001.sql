-- README.md explains every table.
CREATE TABLE service (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  fhir_version TEXT NOT NULL,
  clock INTEGER NOT NULL,          -- lastUpdated of the newest version, µs
  next_pk INTEGER NOT NULL
);

CREATE TABLE type (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- one compiled definition each; a changed definition gets a new row
CREATE TABLE param (
  id INTEGER PRIMARY KEY,
  base TEXT NOT NULL,
  code TEXT NOT NULL,
  expression TEXT NOT NULL,
  revision INTEGER NOT NULL,
  UNIQUE (base, code, expression, revision)
);

-- the current version of each logical id; body NULL: deleted
CREATE TABLE res (
  pk INTEGER PRIMARY KEY,
  type INTEGER NOT NULL,
  id TEXT NOT NULL,
  ver INTEGER NOT NULL,
  upd INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  dict INTEGER NOT NULL,
  body BLOB
);
CREATE UNIQUE INDEX res_id ON res (type, id);
CREATE INDEX res_live ON res (type, pk) WHERE body IS NOT NULL;
CREATE INDEX res_type_upd ON res (type, upd);
CREATE INDEX res_upd ON res (upd);

-- superseded versions
CREATE TABLE hist (
  pk INTEGER NOT NULL,
  ver INTEGER NOT NULL,
  type INTEGER NOT NULL,
  upd INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  dict INTEGER NOT NULL,
  body BLOB,
  PRIMARY KEY (pk, ver)
) WITHOUT ROWID;
CREATE INDEX hist_type_upd ON hist (type, upd);
CREATE INDEX hist_upd ON hist (upd);

-- each text once, so that keys are small, exact, and can be sorted by their text
CREATE TABLE val (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE UNIQUE INDEX val_text ON val (text);

-- `elem` is 0, or the element of the resource whose components match together (composites)
CREATE TABLE ix_exact (
  param INTEGER NOT NULL, val INTEGER NOT NULL, pk INTEGER NOT NULL, elem INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (param, val, pk, elem)
) WITHOUT ROWID;
CREATE INDEX ix_exact_pk ON ix_exact (pk, param, val);

-- `long`: longer than a day
CREATE TABLE ix_date (
  param INTEGER NOT NULL, long INTEGER NOT NULL, lo INTEGER NOT NULL, hi INTEGER NOT NULL, pk INTEGER NOT NULL,
  elem INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (param, long, lo, hi, pk, elem)
) WITHOUT ROWID;
CREATE INDEX ix_date_pk ON ix_date (pk, param, lo, hi);

-- order-preserving decimals; `system` and `code` are numbers of `val`, 0: none
CREATE TABLE ix_number (
  param INTEGER NOT NULL, lo BLOB NOT NULL, hi BLOB NOT NULL, pk INTEGER NOT NULL,
  system INTEGER NOT NULL, code INTEGER NOT NULL, elem INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (param, lo, hi, pk, system, code, elem)
) WITHOUT ROWID;
CREATE INDEX ix_number_pk ON ix_number (pk, param, lo, hi, system, code);

-- `exact` is empty where it is as folded
CREATE TABLE ix_string (
  param INTEGER NOT NULL, folded TEXT NOT NULL, pk INTEGER NOT NULL, elem INTEGER NOT NULL DEFAULT 0, exact TEXT NOT NULL,
  PRIMARY KEY (param, folded, pk, elem, exact)
) WITHOUT ROWID;
CREATE INDEX ix_string_pk ON ix_string (pk, param, folded, exact);

CREATE TABLE ix_place (
  param INTEGER NOT NULL, latitude REAL NOT NULL, longitude REAL NOT NULL, pk INTEGER NOT NULL,
  PRIMARY KEY (param, latitude, longitude, pk)
) WITHOUT ROWID;
CREATE INDEX ix_place_pk ON ix_place (pk);
