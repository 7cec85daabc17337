-- name: locks_take: advisory locks in the order given; $2 says which are exclusive
SELECT CASE WHEN exclusive THEN pg_advisory_xact_lock($3, key) ELSE pg_advisory_xact_lock_shared($3, key) END
FROM (SELECT key, exclusive FROM unnest($1::integer[], $2::boolean[]) WITH ORDINALITY AS l (key, exclusive, nth)
      ORDER BY nth) AS ordered;

-- name: offsets_lock: where the projection stands, for one transaction alone: the fence between two workers
SELECT o.topic, o.partition, o.next_offset, o.epoch IS DISTINCT FROM e.epoch AS anew
FROM projection_offset o
JOIN unnest($1::text[], $2::integer[]) AS wanted (topic, partition) USING (topic, partition)
LEFT JOIN topic_epoch e ON e.topic = o.topic
ORDER BY o.topic, o.partition
FOR UPDATE OF o;

-- name: offsets_move: past what this transaction applied, with the cache tags to be told once it is committed ($7 null: none)
WITH new AS (
  SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
    AS n (topic, partition, next_offset, last_offset, last_timestamp_ms, last_key_hash, tags)
), told AS (
  INSERT INTO cache_outbox (topic, partition, next_offset, tags)
  SELECT topic, partition, next_offset, ARRAY(SELECT jsonb_array_elements_text(tags::jsonb))
  FROM new WHERE tags IS NOT NULL
)
UPDATE projection_offset o SET
  next_offset = new.next_offset, last_offset = new.last_offset, last_timestamp_ms = new.last_timestamp_ms,
  last_key_hash = new.last_key_hash, changed_at = now()
FROM new WHERE o.topic = new.topic AND o.partition = new.partition;

-- name: offsets_settle: over markers at the end of a partition, where nothing else has moved it
UPDATE projection_offset o SET next_offset = new.position, changed_at = now()
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[]) AS new (topic, partition, applied, position)
WHERE o.topic = new.topic AND o.partition = new.partition AND o.next_offset = new.applied
RETURNING o.topic, o.partition;

-- name: dead_letters_write: records set aside, each once
INSERT INTO dead_letter (topic, partition, "offset", stage, reason)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[], $5::text[])
ON CONFLICT DO NOTHING;

-- name: dead_letters_recent: how many were set aside within some seconds
SELECT count(*) FROM dead_letter WHERE seen_at > now() - make_interval(secs => $1);
