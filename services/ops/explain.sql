-- name: since: since when a record is kept and not shown
SELECT since FROM sf_hidden WHERE object = $1 AND record_id = $2

-- name: product: what a product's tags are made of
SELECT sku, item_class FROM sf_product_shadow WHERE product_id = $1

-- name: entry: what a price entry's tags are made of: its product
SELECT p.sku, p.item_class FROM sf_pricebook_shadow e JOIN sf_product_shadow p USING (product_id)
WHERE e.pricebook_entry_id = $1

-- name: order: what an order's tags are made of
SELECT account_id FROM sf_order_shadow WHERE order_id = $1

-- name: applied: up to where partitions are applied
SELECT topic, partition, next_offset FROM projection_offset WHERE topic = ANY ($1::text[])

-- name: letters: records of some partitions that were set aside
SELECT topic, partition, "offset", reason FROM dead_letter
JOIN unnest($1::text[], $2::integer[]) AS wanted (topic, partition) USING (topic, partition)

-- name: status: the status that an order shows
SELECT version FROM sf_order_status WHERE order_id = $1

-- name: untold: how long each of some tags has waited to be told, in seconds
SELECT tag, extract(epoch FROM now() - min(created_at))::float8 AS seconds
FROM cache_outbox, unnest(tags) AS tag WHERE tag = ANY ($1::text[]) GROUP BY tag
