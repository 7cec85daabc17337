-- name: epochs: the life of each topic
SELECT topic, epoch FROM topic_epoch;

-- name: offsets_claim: partitions never projected begin at the log's start
INSERT INTO projection_offset (topic, partition, epoch, next_offset)
SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::bigint[])
ON CONFLICT DO NOTHING;

-- name: offsets_read: where the projection stands
SELECT o.topic, o.partition, o.epoch, o.next_offset, o.last_offset, o.last_timestamp_ms, o.last_key_hash
FROM projection_offset o
JOIN unnest($1::text[], $2::integer[]) AS wanted (topic, partition) USING (topic, partition);

-- name: outbox_read: tags of some partitions not told yet, oldest first; whatever is visible here lies below the lsn
SELECT b.id, b.topic, b.partition, b.next_offset, b.tags, pg_current_wal_lsn()::text AS lsn
FROM cache_outbox b
JOIN unnest($1::text[], $2::integer[]) AS mine (topic, partition) USING (topic, partition)
ORDER BY b.id
LIMIT $3;

-- name: outbox_delete: told
DELETE FROM cache_outbox WHERE id = ANY ($1::bigint[]);

-- name: outbox_age: of the oldest tags not told yet, in seconds
SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM cache_outbox;

-- name: table_lag: of each shadow table, MAX(now() - updated_at) in seconds; null for an empty one
SELECT 'sf_product_shadow' AS name, extract(epoch FROM now() - min(updated_at))::float8 AS lag FROM sf_product_shadow
UNION ALL
SELECT 'sf_pricebook_shadow', extract(epoch FROM now() - min(updated_at))::float8 FROM sf_pricebook_shadow
UNION ALL
SELECT 'sf_account_eligibility_shadow', extract(epoch FROM now() - min(updated_at))::float8
FROM sf_account_eligibility_shadow
UNION ALL
SELECT 'sf_order_shadow', extract(epoch FROM now() - min(updated_at))::float8 FROM sf_order_shadow;

-- name: hidden_count: kept and not shown
SELECT object, reason, count(*) AS records, extract(epoch FROM now() - min(since))::float8 AS oldest
FROM sf_hidden GROUP BY object, reason;

-- name: outbox_waiting: batches of some partitions whose tags are not told yet
SELECT b.topic, b.partition, b.next_offset
FROM cache_outbox b
JOIN unnest($1::text[], $2::integer[]) AS mine (topic, partition) USING (topic, partition)
ORDER BY b.next_offset;
