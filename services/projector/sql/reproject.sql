-- name: products_slice: the next ids in order: of the state, shown, or hidden
SELECT id FROM (
  (SELECT record_id AS id FROM sf_record WHERE object = 'Product2' AND record_id > $1 ORDER BY record_id LIMIT $2)
  UNION (SELECT product_id FROM sf_product_shadow WHERE product_id > $1 ORDER BY product_id LIMIT $2)
  UNION (SELECT record_id FROM sf_hidden WHERE object = 'Product2' AND record_id > $1 ORDER BY record_id LIMIT $2)
) AS ids ORDER BY id LIMIT $2;

-- name: entries_slice: the next ids in order: of the state, shown, or hidden
SELECT id FROM (
  (SELECT record_id AS id FROM sf_record WHERE object = 'PricebookEntry' AND record_id > $1 ORDER BY record_id LIMIT $2)
  UNION (SELECT pricebook_entry_id FROM sf_pricebook_shadow WHERE pricebook_entry_id > $1
    ORDER BY pricebook_entry_id LIMIT $2)
  UNION (SELECT record_id FROM sf_hidden WHERE object = 'PricebookEntry' AND record_id > $1 ORDER BY record_id LIMIT $2)
) AS ids ORDER BY id LIMIT $2;

-- name: accounts_slice: the next ids in order: of the state, shown, or hidden
SELECT id FROM (
  (SELECT record_id AS id FROM sf_record WHERE object = 'Account' AND record_id > $1 ORDER BY record_id LIMIT $2)
  UNION (SELECT account_id FROM sf_account_eligibility_shadow WHERE account_id > $1 ORDER BY account_id LIMIT $2)
  UNION (SELECT record_id FROM sf_hidden WHERE object = 'Account' AND record_id > $1 ORDER BY record_id LIMIT $2)
) AS ids ORDER BY id LIMIT $2;

-- name: orders_slice: the next ids in order: of the state, shown, or hidden
SELECT id FROM (
  (SELECT record_id AS id FROM sf_record WHERE object = 'Order' AND record_id > $1 ORDER BY record_id LIMIT $2)
  UNION (SELECT order_id FROM sf_order_shadow WHERE order_id > $1 ORDER BY order_id LIMIT $2)
  UNION (SELECT record_id FROM sf_hidden WHERE object = 'Order' AND record_id > $1 ORDER BY record_id LIMIT $2)
) AS ids ORDER BY id LIMIT $2;

-- name: records_count: about how many there are, for the progress
SELECT count(*) FROM sf_record WHERE object = $1;

-- name: shown_products: the next ids of products that have a row
SELECT product_id FROM sf_product_shadow WHERE product_id > $1 ORDER BY product_id LIMIT $2;

-- name: accounts_read: shown accounts
SELECT account_id, internet_eligibility, eligibility_source, updated_at, raw_payload::text
FROM sf_account_eligibility_shadow
WHERE account_id = ANY ($1::text[]);

-- name: hidden_read: why some records of one object are not shown
SELECT record_id, reason, detail FROM sf_hidden WHERE object = $1 AND record_id = ANY ($2::text[]);

-- name: claims_read: what some records of one object compete for or hang on, as it is stored
SELECT record_id, claim FROM sf_record WHERE object = $1 AND record_id = ANY ($2::text[]);

-- name: messages_read: what some orders' statuses say
SELECT order_id, status, reason, message FROM sf_order_status WHERE order_id = ANY ($1::text[]) ORDER BY order_id;

-- name: messages_write: sentences of a changed catalogue
UPDATE sf_order_status s SET message = new.message
FROM unnest($1::text[], $2::text[]) AS new (order_id, message) WHERE s.order_id = new.order_id;

-- name: outbox_add: tags to be told, each on a partition's own place; a worker that finds them there tells them too
INSERT INTO cache_outbox (topic, partition, next_offset, tags)
SELECT new.topic, new.partition, coalesce(o.next_offset, 0), ARRAY(SELECT jsonb_array_elements_text(new.tags::jsonb))
FROM unnest($1::text[], $2::integer[], $3::text[]) AS new (topic, partition, tags)
LEFT JOIN projection_offset o USING (topic, partition)
RETURNING id;

-- name: lsn: taken after a commit, it lies above all that the commit wrote
SELECT pg_current_wal_lsn()::text;

-- name: reprojection_read: where an earlier run stopped
SELECT after_id, records FROM reprojection WHERE object = $1 AND mapping = $2;

-- name: reprojection_write: up to here all is done
INSERT INTO reprojection AS r (object, mapping, after_id, records) VALUES ($1, $2, $3, $4)
ON CONFLICT (object) DO UPDATE SET
  mapping = EXCLUDED.mapping, after_id = EXCLUDED.after_id, records = EXCLUDED.records, changed_at = now(),
  began_at = CASE WHEN r.mapping = EXCLUDED.mapping THEN r.began_at ELSE now() END;

-- name: reprojection_done: nothing is left to go on with
DELETE FROM reprojection WHERE object = $1;
