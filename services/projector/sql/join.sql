-- name: join_state: the join in SQL alone: the specification that the join in Python is tested against, and a third as fast
INSERT INTO sf_record AS t (object, record_id, payload, base, newer, dirty)
SELECT o, r, p, b COLLATE "C", n, d COLLATE "C"
FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::text[], $5::jsonb[], $6::text[]) AS x (o, r, p, b, n, d)
ON CONFLICT (object, record_id) DO UPDATE SET
  (payload, newer) = (
    SELECT
      coalesce(jsonb_object_agg(k, CASE WHEN vx > coalesce(vt, '') THEN EXCLUDED.payload -> k ELSE t.payload -> k END),
        '{}'),
      coalesce(jsonb_object_agg(k, GREATEST(vt, vx))
        FILTER (WHERE GREATEST(vt, vx) IS DISTINCT FROM GREATEST(t.base, EXCLUDED.base)), '{}')
    FROM (
      SELECT k,
        (CASE WHEN t.payload ? k THEN coalesce(t.newer ->> k, t.base) END) COLLATE "C" AS vt,
        (CASE WHEN EXCLUDED.payload ? k THEN coalesce(EXCLUDED.newer ->> k, EXCLUDED.base) END) COLLATE "C" AS vx
      FROM jsonb_object_keys(t.payload || EXCLUDED.payload) AS k
    ) AS f),
  base = GREATEST(t.base, EXCLUDED.base),
  dirty = GREATEST(t.dirty, EXCLUDED.dirty),
  changed_at = now()
WHERE EXCLUDED.dirty > coalesce(t.dirty, '') OR EXCLUDED.base > coalesce(t.base, '')
  OR EXISTS (
    SELECT 1 FROM jsonb_object_keys(EXCLUDED.payload) AS k
    WHERE coalesce(EXCLUDED.newer ->> k, EXCLUDED.base) COLLATE "C"
      > coalesce((CASE WHEN t.payload ? k THEN coalesce(t.newer ->> k, t.base) END), '') COLLATE "C")
RETURNING record_id;
