-- name: product: one product on sale, its active prices, and how far its objects are observed
WITH here AS MATERIALIZED (
  SELECT pg_current_wal_lsn()::text AS lsn,
    (SELECT observed_until FROM object_freshness WHERE object = 'Product2') AS products_until,
    (SELECT observed_until FROM object_freshness WHERE object = 'PricebookEntry') AS entries_until,
    (SELECT array_agg(last_offset ORDER BY partition) FROM projection_offset WHERE topic = $3) AS offsets
)
SELECT here.*, p.product_id, p.updated_at, p.raw_payload::text AS payload, prices.*
FROM here
LEFT JOIN sf_product_shadow p ON p.sku = $1 AND p.raw_payload->'IsActive' = 'true'
LEFT JOIN LATERAL (
  SELECT array_agg(pricebook_entry_id) AS entry_ids, array_agg(pricebook_id) AS book_ids,
    array_agg(unit_price::text) AS unit_prices, array_agg(currency_iso_code) AS currencies,
    array_agg(e.updated_at) AS priced_at
  FROM sf_pricebook_shadow e
  WHERE e.product_id = p.product_id AND e.is_active AND ($2::text IS NULL OR e.pricebook_id = $2)
) prices ON true

-- name: products: products on sale, of one class or of all, with their active prices
WITH here AS MATERIALIZED (
  SELECT pg_current_wal_lsn()::text AS lsn,
    (SELECT observed_until FROM object_freshness WHERE object = 'Product2') AS products_until,
    (SELECT observed_until FROM object_freshness WHERE object = 'PricebookEntry') AS entries_until
), prices AS (
  SELECT product_id, array_agg(pricebook_entry_id) AS entry_ids, array_agg(pricebook_id) AS book_ids,
    array_agg(unit_price::text) AS unit_prices, array_agg(currency_iso_code) AS currencies,
    array_agg(updated_at) AS priced_at
  FROM sf_pricebook_shadow
  WHERE is_active AND ($2::text IS NULL OR pricebook_id = $2)
  GROUP BY product_id
), sold AS (
  SELECT p.product_id, p.updated_at, p.raw_payload::text AS payload,
    prices.entry_ids, prices.book_ids, prices.unit_prices, prices.currencies, prices.priced_at
  FROM sf_product_shadow p LEFT JOIN prices USING (product_id)
  WHERE p.raw_payload->'IsActive' = 'true' AND ($1::text IS NULL OR p.item_class = $1)
)
SELECT here.*, sold.* FROM here LEFT JOIN sold ON true

-- name: eligibility: one account's eligibility
WITH here AS MATERIALIZED (
  SELECT pg_current_wal_lsn()::text AS lsn,
    (SELECT observed_until FROM object_freshness WHERE object = 'Account') AS accounts_until,
    (SELECT array_agg(last_offset ORDER BY partition) FROM projection_offset WHERE topic = $2) AS offsets
)
SELECT here.*, a.account_id, a.updated_at, a.raw_payload::text AS payload
FROM here LEFT JOIN sf_account_eligibility_shadow a ON a.account_id = $1

-- name: order: one order
WITH here AS MATERIALIZED (
  SELECT pg_current_wal_lsn()::text AS lsn,
    (SELECT observed_until FROM object_freshness WHERE object = 'Order') AS orders_until,
    (SELECT array_agg(last_offset ORDER BY partition) FROM projection_offset WHERE topic = $2) AS offsets
)
SELECT here.*, o.order_id, o.updated_at, o.raw_payload::text AS payload, o.status, o.status_reason, o.status_version
FROM here LEFT JOIN sf_order_shadow o ON o.order_id = $1

-- name: orders: the newest orders of one account
WITH here AS MATERIALIZED (
  SELECT pg_current_wal_lsn()::text AS lsn,
    (SELECT observed_until FROM object_freshness WHERE object = 'Order') AS orders_until
), own AS (
  SELECT order_id, updated_at, raw_payload::text AS payload, status, status_reason, status_version
  FROM sf_order_shadow WHERE account_id = $1
  ORDER BY created_date DESC NULLS LAST, order_id LIMIT $2
)
SELECT here.*, own.* FROM here LEFT JOIN own ON true

-- name: states: what is stored of some records, and of records of one object that changed after a moment
SELECT record_id, payload::text AS payload, base, newer::text AS newer, dirty
FROM sf_record
WHERE object = $1 AND record_id = ANY ($2::text[])
UNION
SELECT record_id, payload::text, base, newer::text, dirty
FROM sf_record
WHERE object = $1 AND changed_at > $3

-- name: claimants: stored records of one object that want one SKU, or that hang on one product
SELECT record_id FROM sf_record WHERE object = $1 AND claim = ANY ($2::text[])

-- name: shown_statuses: the statuses that some orders show
SELECT order_id, status, status_reason, status_version FROM sf_order_shadow WHERE order_id = ANY ($1::text[])

-- name: written: what tells whether a record holds a write
SELECT base, newer::text AS newer FROM sf_record WHERE object = $1 AND record_id = $2

-- name: lines: what is sold under some SKUs at what price
SELECT p.sku, p.name, p.product_id, e.pricebook_entry_id, e.pricebook_id, e.unit_price
FROM sf_product_shadow p JOIN sf_pricebook_shadow e USING (product_id)
WHERE p.sku = ANY ($1::text[]) AND p.raw_payload->'IsActive' = 'true' AND e.is_active AND e.currency_iso_code = $2
  AND ($3::text IS NULL OR e.pricebook_id = $3)

-- name: order_known: whether an order exists, and the newest status known to end it
SELECT s.order_id IS NOT NULL OR t.order_id IS NOT NULL AS known,
  CASE WHEN t.terminal THEN t.version END AS terminal_version, t.status
FROM (SELECT $1::text AS order_id) wanted
LEFT JOIN sf_order_shadow s USING (order_id)
LEFT JOIN sf_order_status t USING (order_id)

-- name: backlog: what the projector has still to tell, and how far each object is observed
SELECT (SELECT count(*) FROM cache_outbox) AS untold,
  (SELECT extract(epoch FROM now() - min(created_at)) FROM cache_outbox) AS oldest_untold_seconds,
  (SELECT json_object_agg(object, round(extract(epoch FROM now() - observed_until)::numeric, 3)) FROM object_freshness)
    AS observed_seconds_ago

-- name: alive: the cheapest question
SELECT 1
