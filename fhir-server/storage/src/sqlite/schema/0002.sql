-- goes up with each change of `definition`; the next number of one
ALTER TABLE service ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE service ADD COLUMN next_definition INTEGER NOT NULL DEFAULT 1;

-- search parameters that aren't FHIR's, one row for each base type; a number is never given to another definition
CREATE TABLE definition (
  number INTEGER PRIMARY KEY,
  owner TEXT NOT NULL,             -- id of the SearchParameter
  content TEXT NOT NULL,           -- what it says, JSON
  state INTEGER NOT NULL           -- 0: being filled, 1: ready, 2: retired, its rows are being removed
);

-- background work
CREATE TABLE job (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  status INTEGER NOT NULL,         -- 0 queued, 1 running, 2 completed, 3 failed, 4 cancelled
  input TEXT NOT NULL,
  position TEXT NOT NULL DEFAULT '',
  done INTEGER NOT NULL DEFAULT 0,
  total INTEGER NOT NULL DEFAULT 0,
  problem TEXT NOT NULL DEFAULT '',
  queued INTEGER NOT NULL,         -- µs, as all times
  due INTEGER NOT NULL,            -- not to be begun before
  started INTEGER,
  ended INTEGER,
  modified INTEGER NOT NULL,
  owner TEXT,                      -- who works at it
  leased INTEGER                   -- until then it is theirs
);
CREATE INDEX job_open ON job (kind, queued) WHERE status < 2;
