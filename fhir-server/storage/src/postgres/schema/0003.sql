-- A token is kept once, as the pair of its code and its system: `text` is the code's, `sys` the number of the system's text
-- (0: none). The rows of a code alone and of a system alone go. A code over 2,000 bytes, of which only the beginning is
-- here, is found again once its resource is written or reindexed.
SET LOCAL statement_timeout = 0;
SET LOCAL enable_hashjoin = on;
SET LOCAL enable_mergejoin = on;
SET LOCAL enable_seqscan = on;
CREATE TEMP TABLE pair ON COMMIT DROP AS
  SELECT t.id, 'p' || t.code AS text,
    CASE WHEN t.system = '' THEN 0 ELSE coalesce((SELECT s.id FROM val s WHERE s.text = 's' || t.system), 0) END AS sys
  FROM (
    SELECT id, substr(text, 2, strpos(text, chr(31)) - 2) AS system, substr(text, strpos(text, chr(31)) + 1) AS code
    FROM val WHERE text >= 'p' AND text < 'q' AND strpos(text, chr(31)) > 0
  ) t;
CREATE INDEX ON pair (id, sys);

DROP INDEX val_text;
ALTER TABLE val ADD COLUMN sys int4 NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX val_text ON val (text, sys);

-- numbers that give way to others: of codes whose text is there as a unit's, and of systems without a code
INSERT INTO val (text, sys) SELECT 'p', id FROM val WHERE text > 's' AND text < 't';
CREATE TEMP TABLE moved (old int4 PRIMARY KEY, new int4 NOT NULL) ON COMMIT DROP;
INSERT INTO moved SELECT p.id, v.id FROM pair p JOIN val v ON v.text = p.text AND v.sys = p.sys;
INSERT INTO moved SELECT sys, id FROM val WHERE text = 'p' AND sys > 0;

-- no `elem` stands for 0: it takes no room
CREATE TABLE fresh (pk int8 NOT NULL, param int4 NOT NULL, val int4 NOT NULL, elem int4);
INSERT INTO fresh (pk, param, val, elem)
  SELECT x.pk, x.param, coalesce(m.new, x.val), nullif(x.elem, 0)
  FROM ix_exact x JOIN val v ON v.id = x.val LEFT JOIN moved m ON m.old = x.val
  WHERE NOT (v.text >= 'c' AND v.text < 'd')
    AND NOT (v.text >= 's' AND v.text < 't' AND EXISTS (
      SELECT 1 FROM ix_exact y JOIN pair p ON p.id = y.val
      WHERE y.pk = x.pk AND y.param = x.param AND y.elem = x.elem AND p.sys = x.val OFFSET 0))
  ORDER BY x.pk;
-- made again when the database is opened
DELETE FROM ix_owner_date;
DELETE FROM ix_owner_exact;
DELETE FROM owned;
DROP TABLE ix_exact;
ALTER TABLE fresh RENAME TO ix_exact;
CREATE INDEX ix_exact_key ON ix_exact (param, val, pk);
CREATE INDEX ix_exact_pk ON ix_exact (pk);
ALTER TABLE ix_exact SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE ix_date ALTER COLUMN elem DROP NOT NULL;
ALTER TABLE ix_number ALTER COLUMN elem DROP NOT NULL;
ALTER TABLE ix_string ALTER COLUMN elem DROP NOT NULL;

DELETE FROM val v WHERE v.text >= 'c' AND v.text < 'd'
  AND NOT EXISTS (SELECT 1 FROM ix_number n WHERE n.system = v.id)
  AND NOT EXISTS (SELECT 1 FROM ix_number n WHERE n.code = v.id);
DELETE FROM val v USING moved m, pair p WHERE v.id = m.old AND p.id = m.old;
UPDATE val v SET text = p.text, sys = p.sys FROM pair p WHERE p.id = v.id;
CREATE INDEX val_sys ON val (sys, id) WHERE sys > 0;
