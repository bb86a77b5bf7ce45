-- dates and codes beside the owner of their resource; a function of ix_exact and ix_date
CREATE TABLE ix_owner_date (
  param INTEGER NOT NULL, owner INTEGER NOT NULL, long INTEGER NOT NULL, hi INTEGER NOT NULL, pk INTEGER NOT NULL,
  lo INTEGER NOT NULL, via INTEGER NOT NULL,
  PRIMARY KEY (param, owner, long, hi DESC, pk)
) WITHOUT ROWID;
CREATE TABLE ix_owner_exact (
  param INTEGER NOT NULL, val INTEGER NOT NULL, owner INTEGER NOT NULL, pk INTEGER NOT NULL, via INTEGER NOT NULL,
  PRIMARY KEY (param, val, owner, pk)
) WITHOUT ROWID;

-- by which parameters the rows of a type are made
CREATE TABLE owned (
  type INTEGER PRIMARY KEY,
  members INTEGER NOT NULL, patient INTEGER NOT NULL, subject INTEGER NOT NULL, date INTEGER NOT NULL, code INTEGER NOT NULL
);
