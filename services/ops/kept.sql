-- name: state: what is known of a record
SELECT payload::text, base, newer::text, dirty FROM sf_record WHERE object = $1 AND record_id = $2

-- name: hidden: why it has no row
SELECT reason, detail FROM sf_hidden WHERE object = $1 AND record_id = $2

-- name: skus: under which SKU a product, or the product of a price entry, is shown
SELECT sku FROM sf_product_shadow WHERE product_id = $1
UNION
SELECT p.sku FROM sf_pricebook_shadow e JOIN sf_product_shadow p USING (product_id) WHERE e.pricebook_entry_id = $1

-- name: untold: age in seconds of the oldest change of some tags that the caches were not told of
SELECT extract(epoch FROM now() - min(created_at))::float8 FROM cache_outbox WHERE tags && $1::text[]

-- name: classes: in which lists a SKU may stand: its own class's, or any where it has no row
SELECT item_class FROM sf_product_shadow WHERE sku = $1
UNION
SELECT DISTINCT item_class FROM sf_product_shadow WHERE NOT EXISTS (SELECT FROM sf_product_shadow WHERE sku = $1)

-- name: orders: one account's orders
SELECT order_id FROM sf_order_shadow WHERE account_id = $1
