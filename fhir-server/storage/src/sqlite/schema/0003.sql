-- keys that seal continuation tokens; a number is never given again
CREATE TABLE page_key (id INTEGER PRIMARY KEY AUTOINCREMENT, made INTEGER NOT NULL, secret BLOB NOT NULL);

-- queries that links name instead of repeating them
CREATE TABLE kept_query (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  text TEXT NOT NULL,
  until INTEGER NOT NULL           -- µs
) WITHOUT ROWID;
CREATE INDEX kept_query_until ON kept_query (until);
