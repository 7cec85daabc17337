-- name: epoch: the epoch of the status topic, by which cursors are bound
SELECT epoch FROM topic_epoch WHERE topic = $1

-- name: order_state: an order's status and owner, and how far its partition is applied, all of one moment
SELECT t.version, t.status, coalesce(t.reason, CASE WHEN s.status = t.status THEN s.status_reason END) AS reason,
       t.message, t.terminal, t.source, t.occurred_at,
       s.status_version AS row_version, s.status AS row_status, s.status_reason AS row_reason,
       s.updated_at AS row_updated_at, coalesce(s.account_id, t.account_id) AS account_id,
       CASE WHEN p.epoch = $4 THEN p.next_offset ELSE 0 END AS next_offset
FROM (SELECT $1::text AS order_id) AS wanted
LEFT JOIN sf_order_shadow s USING (order_id)
LEFT JOIN sf_order_status t USING (order_id)
LEFT JOIN projection_offset p ON p.topic = $2 AND p.partition = $3

-- name: positions: how far each partition of the status topic is applied
SELECT partition, next_offset FROM projection_offset WHERE topic = $1 AND epoch = $2

-- name: account_state: an account's open and recently changed orders, and how far each partition is applied
SELECT applied.positions, o.*
FROM (
  SELECT coalesce(jsonb_object_agg(partition, next_offset), '{}') AS positions
  FROM projection_offset WHERE topic = $2 AND epoch = $3
) AS applied
LEFT JOIN LATERAL (
  SELECT s.order_id, t.version, t.status, coalesce(t.reason, CASE WHEN s.status = t.status THEN s.status_reason END)
           AS reason, t.message, t.terminal, t.source, t.occurred_at,
         s.status_version AS row_version, s.status AS row_status, s.status_reason AS row_reason,
         s.updated_at AS row_updated_at
  FROM sf_order_shadow s LEFT JOIN sf_order_status t USING (order_id)
  WHERE s.account_id = $1 AND (t.terminal IS NOT TRUE OR t.changed_at > now() - interval '7 days')
  ORDER BY s.updated_at DESC
  LIMIT $4
) AS o ON true

-- name: owners: the accounts of some orders
SELECT order_id, coalesce(s.account_id, t.account_id) AS account_id
FROM sf_order_shadow s FULL JOIN sf_order_status t USING (order_id)
WHERE order_id = ANY ($1::text[]) AND coalesce(s.account_id, t.account_id) IS NOT NULL
