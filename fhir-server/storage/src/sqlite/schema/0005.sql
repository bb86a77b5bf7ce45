-- A token is kept once, as the pair of its code and its system: `text` is the code's, `sys` the number of the system's text
-- (0: none). The rows of a code alone and of a system alone go.
CREATE TEMP TABLE pair AS
  SELECT id, 'p' || code AS text,
    CASE WHEN system = '' THEN 0 ELSE coalesce((SELECT s.id FROM val s WHERE s.text = 's' || system), 0) END AS sys
  FROM (
    SELECT id, substr(text, 2, instr(text, char(31)) - 2) AS system, substr(text, instr(text, char(31)) + 1) AS code
    FROM val WHERE text >= 'p' AND text < 'q' AND instr(text, char(31)) > 0
  );
CREATE INDEX temp.pair_id ON pair (id, sys);

DROP INDEX val_text;
ALTER TABLE val ADD COLUMN sys INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX val_text ON val (text, sys);

-- numbers that give way to others: of codes whose text is there as a unit's, and of systems without a code
INSERT INTO val (text, sys) SELECT 'p', id FROM val WHERE text > 's' AND text < 't';
CREATE TEMP TABLE moved (old INTEGER PRIMARY KEY, new INTEGER NOT NULL);
INSERT INTO moved SELECT p.id, v.id FROM pair p CROSS JOIN val v ON v.text = p.text AND v.sys = p.sys;
INSERT INTO moved SELECT sys, id FROM val WHERE text = 'p' AND sys > 0;

CREATE TABLE fresh (
  param INTEGER NOT NULL, val INTEGER NOT NULL, pk INTEGER NOT NULL, elem INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (param, val, pk, elem)
) WITHOUT ROWID;
INSERT OR IGNORE INTO fresh
  SELECT x.param, coalesce(m.new, x.val), x.pk, x.elem
  FROM ix_exact x CROSS JOIN val v ON v.id = x.val LEFT JOIN moved m ON m.old = x.val
  WHERE NOT (v.text >= 'c' AND v.text < 'd')
    AND NOT (v.text >= 's' AND v.text < 't' AND EXISTS (
      SELECT 1 FROM ix_exact y INDEXED BY ix_exact_pk CROSS JOIN pair p ON p.id = y.val
      WHERE y.pk = x.pk AND y.param = x.param AND y.elem = x.elem AND p.sys = x.val));
-- made again when the database is opened
DELETE FROM ix_owner_date;
DELETE FROM ix_owner_exact;
DELETE FROM owned;
DROP TABLE ix_exact;
ALTER TABLE fresh RENAME TO ix_exact;
CREATE INDEX ix_exact_pk ON ix_exact (pk, param, val);

DELETE FROM val WHERE text >= 'c' AND text < 'd'
  AND id NOT IN (SELECT system FROM ix_number UNION SELECT code FROM ix_number);
DELETE FROM val WHERE id IN (SELECT m.old FROM moved m JOIN pair p ON p.id = m.old);
UPDATE val SET text = p.text, sys = p.sys FROM pair p WHERE p.id = val.id;
CREATE INDEX val_sys ON val (sys) WHERE sys > 0;
DROP TABLE pair;
DROP TABLE moved;
