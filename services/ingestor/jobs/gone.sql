-- name: applied: where the projection of a topic stands
SELECT partition, next_offset FROM projection_offset WHERE topic = $1;

-- name: alive: records of an object that are taken for alive, and of them those by nothing as new as a version
SELECT count(*) AS alive,
  count(*) FILTER (WHERE coalesce(newer ->> 'IsDeleted', base, '') COLLATE "C" < $2) AS unseen
FROM sf_record
WHERE object = $1 AND NOT coalesce((payload ->> 'IsDeleted')::boolean, false);

-- name: unseen: records taken for alive by nothing as new as a version, in order of their ids after one of them
SELECT record_id FROM sf_record
WHERE object = $1 AND record_id > $2
  AND NOT coalesce((payload ->> 'IsDeleted')::boolean, false)
  AND coalesce(newer ->> 'IsDeleted', base, '') COLLATE "C" < $3
ORDER BY record_id
LIMIT $4
