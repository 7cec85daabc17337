-- name: summary: records of an object in a range of ids that are alive, and the newest version of any in it
SELECT count(*) FILTER (WHERE NOT coalesce((payload ->> 'IsDeleted')::boolean, false)) AS alive,
  max(left(greatest(base, (SELECT max(value) FROM jsonb_each_text(newer))), 14)) AS newest
FROM sf_record
WHERE object = $1 AND record_id COLLATE "C" >= $2 AND record_id COLLATE "C" < $3;

-- name: bounds: where parts of so many records begin in a range, the first apart, in the order of the ids
SELECT record_id FROM (
  SELECT record_id, row_number() OVER (ORDER BY record_id COLLATE "C") AS nth FROM sf_record
  WHERE object = $1 AND record_id COLLATE "C" >= $2 AND record_id COLLATE "C" < $3
) AS numbered
WHERE nth > 1 AND (nth - 1) % $4 = 0
ORDER BY record_id COLLATE "C";

-- name: states: what is known of each record in a range of ids, with the newest version of any of its fields
SELECT record_id, payload::text AS payload,
  greatest(base, (SELECT max(value) FROM jsonb_each_text(newer))) AS newest
FROM sf_record
WHERE object = $1 AND record_id COLLATE "C" >= $2 AND record_id COLLATE "C" < $3
