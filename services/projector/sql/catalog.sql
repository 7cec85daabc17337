-- name: products_read: shown products, by their own ids or by their SKUs
SELECT product_id, sku, name, item_class, offering_type, plan_tier, vpn_region, updated_at, raw_payload::text
FROM sf_product_shadow
WHERE product_id = ANY ($1::text[]) OR sku = ANY ($2::text[]);

-- name: products_tagged: what the cache tags of shown products are made of
SELECT product_id, sku, item_class FROM sf_product_shadow WHERE product_id = ANY ($1::text[]);

-- name: products_delete: products no longer shown; their entries go with them
DELETE FROM sf_product_shadow WHERE product_id = ANY ($1::text[]);

-- name: products_vacate: products about to change their SKU give it up first: the unique constraint is immediate
UPDATE sf_product_shadow SET sku = '~' || product_id WHERE product_id = ANY ($1::text[]);

-- name: products_write: shown products
INSERT INTO sf_product_shadow
  (product_id, sku, name, item_class, offering_type, plan_tier, vpn_region, updated_at, raw_payload)
SELECT product_id, sku, name, item_class, offering_type, plan_tier, vpn_region, updated_at, raw_payload::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
  $9::text[])
  AS new (product_id, sku, name, item_class, offering_type, plan_tier, vpn_region, updated_at, raw_payload)
ON CONFLICT (product_id) DO UPDATE SET
  sku = EXCLUDED.sku, name = EXCLUDED.name, item_class = EXCLUDED.item_class,
  offering_type = EXCLUDED.offering_type, plan_tier = EXCLUDED.plan_tier, vpn_region = EXCLUDED.vpn_region,
  updated_at = EXCLUDED.updated_at, raw_payload = EXCLUDED.raw_payload;

-- name: entries_read: shown price entries, by their own ids or by their products'
SELECT pricebook_entry_id, product_id, pricebook_id, unit_price, currency_iso_code, is_active, updated_at,
  raw_payload::text
FROM sf_pricebook_shadow
WHERE pricebook_entry_id = ANY ($1::text[]) OR product_id = ANY ($2::text[]);

-- name: entries_delete: price entries no longer shown
DELETE FROM sf_pricebook_shadow WHERE pricebook_entry_id = ANY ($1::text[]);

-- name: entries_write: shown price entries
INSERT INTO sf_pricebook_shadow
  (pricebook_entry_id, product_id, pricebook_id, unit_price, currency_iso_code, is_active, updated_at, raw_payload)
SELECT pricebook_entry_id, product_id, pricebook_id, unit_price, currency_iso_code, is_active, updated_at,
  raw_payload::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::text[], $6::boolean[], $7::timestamptz[],
  $8::text[])
  AS new (pricebook_entry_id, product_id, pricebook_id, unit_price, currency_iso_code, is_active, updated_at,
    raw_payload)
ON CONFLICT (pricebook_entry_id) DO UPDATE SET
  product_id = EXCLUDED.product_id, pricebook_id = EXCLUDED.pricebook_id, unit_price = EXCLUDED.unit_price,
  currency_iso_code = EXCLUDED.currency_iso_code, is_active = EXCLUDED.is_active,
  updated_at = EXCLUDED.updated_at, raw_payload = EXCLUDED.raw_payload;
