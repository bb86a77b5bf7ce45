-- Parameters that say what others say have no rows any more, nor have composites of what the whole resource says. What is
-- asked of them is answered from rows that were there before; a reindex in the background takes away what nobody reads.
INSERT INTO job (id, kind, status, input, queued, due, modified)
  SELECT gen_random_uuid()::text, 'reindex', 0,
    json_build_object('requested', false, 'maximum_concurrency', 1, 'per_query', 100, 'delay_milliseconds', 0, 'types',
      (SELECT json_agg(t.name) FROM type t
        WHERE EXISTS (SELECT 1 FROM res r WHERE r.type = t.id AND r.body IS NOT NULL)))::text,
    clock, clock, clock
  FROM service WHERE EXISTS (SELECT 1 FROM res WHERE body IS NOT NULL);
