-- name: tombstones_count: deleted records that are still remembered
SELECT object, count(*) AS records FROM sf_record WHERE payload->'IsDeleted' = 'true' GROUP BY object;

-- name: tombstones_forget: some that nothing in the log or under way can bring back; the statuses of orders go along
WITH gone AS (
  DELETE FROM sf_record WHERE (object, record_id) IN (
    SELECT object, record_id FROM sf_record
    WHERE payload->'IsDeleted' = 'true' AND object = $1 AND changed_at < now() - $2::interval
      AND (dirty IS NULL OR coalesce(newer->>'IsDeleted', base, '') COLLATE "C" > dirty)
    ORDER BY changed_at LIMIT $3
    FOR UPDATE SKIP LOCKED)
  RETURNING object, record_id
), told AS (
  DELETE FROM sf_order_status s USING gone WHERE gone.object = 'Order' AND s.order_id = gone.record_id
)
SELECT count(*) FROM gone;
